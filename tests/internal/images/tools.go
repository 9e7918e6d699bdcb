package images

import (
	"os"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Labels of images that become modules.
const (
	commandsLabel = "org.supercontainers.hpc3.commands"
	ofTools       = "greet, count"
)

// PushTools pushes images that become modules, as good/tools and a tag. They have a shell, and the
// commands greet, count and extra, which no package owns.
//
//	1.0, 2.0  an index of two variants, with all labels
//	latest    an image whose label says that it is 2.7
//	bare      an image without labels
//	mpi       one that states an MPI of its own
//	noshell   one without a shell, whose label names its only command, busybox
//	lacks     one whose label names greet, which it has, and gone
//	hostile   one whose labels would run a program, wherever they are not quoted
//	conflict  one whose label names a module that cannot be one
//	slash, blank, quote, builtin  images whose label names a command that cannot be one
func PushTools(host string) error {
	shell, err := os.ReadFile("/usr/bin/busybox")
	if err != nil {
		return err
	}
	base, err := TarLayer(map[string]string{"bin/sh": string(shell)})
	if err != nil {
		return err
	}
	own, err := TarLayer(map[string]string{
		"bin/greet": "#!/bin/sh\necho \"hello $1\"\n",
		"bin/count": "#!/bin/sh\necho $#\n",
		"bin/extra": "#!/bin/sh\nexit 7\n",
	})
	if err != nil {
		return err
	}
	single := map[string]map[string]string{
		"latest": {commandsLabel: ofTools, "org.opencontainers.image.version": "2.7"},
		"bare":   nil,
		"mpi":    {commandsLabel: "greet", "org.supercontainers.mpi.implementation": "openmpi"},
		"lacks":  {commandsLabel: "greet,gone"},
		"hostile": {
			commandsLabel:                          "greet",
			"org.opencontainers.image.title":       "\"; exec touch pwned; [exec touch pwned] $HOME {\\\n}",
			"org.opencontainers.image.description": "]] os.execute('touch pwned') --[[ \x1b[2J",
			"org.supercontainers.hpc3.help":        "costs 5 $ [exec touch pwned] `touch pwned`\n}\n\" {",
		},
		"conflict": {
			commandsLabel: "greet", "org.supercontainers.hpc3.conflict": "others;touch pwned",
		},
		"slash":   {commandsLabel: "greet,/bin/count"},
		"blank":   {commandsLabel: "greet,count it"},
		"quote":   {commandsLabel: "greet,cou'nt"},
		"builtin": {commandsLabel: "greet,test"},
	}
	for tag, labels := range single {
		img, err := tool("", labels, base, own)
		if err == nil {
			err = push(host, tag, img)
		}
		if err != nil {
			return err
		}
	}
	alone, err := TarLayer(map[string]string{"bin/busybox": string(shell)})
	if err != nil {
		return err
	}
	lone, err := tool("", map[string]string{commandsLabel: "busybox"}, alone)
	if err == nil {
		err = push(host, "noshell", lone)
	}
	for _, tag := range []string{"1.0", "2.0"} {
		if err == nil {
			err = pushVariants(host, tag, base, own)
		}
	}
	return err
}

// pushVariants pushes an index of a generic variant and one for x86-64-v2.
func pushVariants(host, tag string, layers ...v1.Layer) error {
	labels := map[string]string{
		commandsLabel:                       ofTools,
		"org.supercontainers.hpc3.conflict": "othertools",
		"org.supercontainers.hpc3.help":     "Greets, and counts.\nIt costs 5 $ [exec false] \"a month\".",
		"org.opencontainers.image.title":    "Tools",
		"org.opencontainers.image.version":  tag,
		"org.opencontainers.image.url":      "https://tools.example/{a}",
	}
	var index v1.ImageIndex = empty.Index
	for _, level := range []string{"", "v2"} {
		img, err := tool(level, labels, layers...)
		if err != nil {
			return err
		}
		platform := v1.Platform{OS: "linux", Architecture: "amd64", Variant: level}
		index = mutate.AppendManifests(index,
			mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &platform}})
	}
	return push(host, tag, index)
}

// tool is an image for a level of amd64.
func tool(level string, labels map[string]string, layers ...v1.Layer) (v1.Image, error) {
	img, err := Small(v1.Platform{OS: "linux", Architecture: "amd64"}, "tools "+level+"\n")
	if err != nil {
		return nil, err
	}
	if img, err = mutate.AppendLayers(img, layers...); err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Config.Labels = labels
	return mutate.ConfigFile(img, config)
}

func push(host, tag string, what remote.Taggable) error {
	ref, err := name.ParseReference(host + "/good/tools:" + tag)
	if err != nil {
		return err
	}
	if index, is := what.(v1.ImageIndex); is {
		return remote.WriteIndex(ref, index)
	}
	return remote.Write(ref, what.(v1.Image))
}
