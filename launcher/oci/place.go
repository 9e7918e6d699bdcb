package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Place says where in a JSON text a reader stopped, and why: "line 3, column 7: invalid character
// '}' …". For a value of the wrong type it also gives the path.
func Place(raw []byte, err error) string {
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return lineOf(raw, int64(len(raw))+1) + ": it ends too early"
	case errors.As(err, &syntax):
		return fmt.Sprintf("%s: %v", lineOf(raw, syntax.Offset), syntax)
	case errors.As(err, &wrong):
		return fmt.Sprintf("%s: %s is a %s, which it cannot be", lineOf(raw, wrong.Offset),
			wrong.Field, wrong.Value)
	}
	return err.Error()
}

func lineOf(raw []byte, offset int64) string {
	before := raw[:min(max(offset-1, 0), int64(len(raw)))]
	line := bytes.Count(before, []byte("\n")) + 1
	return fmt.Sprintf("line %d, column %d", line, len(before)-bytes.LastIndexByte(before, '\n'))
}
