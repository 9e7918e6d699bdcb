package native

import (
	"testing"

	"github.com/hpc3-project/hpc3/launcher/run/message"
	"github.com/hpc3-project/hpc3/launcher/run/message/messagetest"
	"github.com/hpc3-project/hpc3/launcher/run/serve"
)

// Every field of every message arrives.
func TestMessages(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range []message.Message{
		&Stage{}, &serve.Service{}, &serve.Mount{}, &serve.Verdict{}, &serve.Complete{}, &serve.Container{}, &order{}, &reply{}, &answer{},
	} {
		messagetest.RoundTrip(t, m)
		if seen[m.Kind()] {
			t.Errorf("two messages are called %q", m.Kind())
		}
		seen[m.Kind()] = true
	}
}

func FuzzPlan(f *testing.F) { messagetest.Fuzz(f, func() message.Message { return &Stage{} }) }
