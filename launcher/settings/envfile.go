package settings

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/outside"
)

// maxEnvFile bounds a file of variables: with the usual limit of the stack, 8 MiB, the kernel gives
// a program 2 MiB of words and variables.
const maxEnvFile = 2 << 20

// ReadEnvFiles puts the variables of files into the place of their names. A pipe is read as it
// comes, unless this process starts no command.
func (s *Settings) ReadEnvFiles(ctx context.Context) error {
	vars, err := option.ReadEnvFiles(s.Option.Env, func(file string) ([]option.EnvVar, error) {
		return readEnvFile(ctx, file, !s.Host.NoStart)
	})
	if err == nil {
		s.Option.Env = vars
	}
	return err
}

func readEnvFile(ctx context.Context, file string, pipes bool) ([]option.EnvVar, error) {
	raw, err := rawEnvFile(ctx, file, pipes)
	if err != nil {
		failed := fault.New(fault.Usage, "reading variables from %s: %w", file, fault.Reason(err))
		if !pipes && errors.As(err, new(outside.KindError)) {
			failed = failed.Hint("the nodes of a job read it, so it has to be a file that they see")
		}
		return nil, failed
	}
	vars, err := option.ParseEnvFile(raw)
	var at option.LineError
	if errors.As(err, &at) {
		return nil, fault.New(fault.Usage, "%s:%d: %w", file, at.Line, at.Err).
			Hint("a line is NAME=VALUE or NAME, as docker's --env-file has it: " +
				"no export, and quotes are part of the value")
	}
	return vars, err
}

func rawEnvFile(ctx context.Context, file string, pipes bool) ([]byte, error) {
	if !pipes {
		return outside.Read(file, maxEnvFile)
	}
	stream, err := outside.Stream(ctx, file)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(stream, maxEnvFile+1))
	if err == nil && len(raw) > maxEnvFile {
		err = fmt.Errorf("it has more than %d bytes", maxEnvFile)
	}
	return raw, errors.Join(err, stream.Close())
}
