package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// answerTimeout is how long a child may take for an answer before it is killed.
const answerTimeout = 30 * time.Second

// A child is a process that this one started, which is asked in lines of JSON on
// its standard input and answers on its standard output. It ends when its input
// does, and so with this process.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	enc *json.Encoder
	dec *json.Decoder
}

// startChild starts this program once more in the given role. More variables of
// the environment may follow.
func startChild(name string, variables ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(append(os.Environ(), variables...), role+"="+name)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &child{cmd, in, json.NewEncoder(in), json.NewDecoder(out)}, cmd.Start()
}

// ask sends question, unless it is nil, and waits for the answer.
func (c *child) ask(question, answer any) error {
	if question != nil {
		if err := c.enc.Encode(question); err != nil {
			return err
		}
	}
	limit := time.AfterFunc(answerTimeout, func() { _ = c.cmd.Process.Kill() })
	defer limit.Stop()
	if err := c.dec.Decode(answer); err != nil {
		return fmt.Errorf("no answer from the %s: %w", c.cmd.Env[len(c.cmd.Env)-1], err)
	}
	return nil
}

// end ends the process and waits for it.
func (c *child) end() error {
	limit := time.AfterFunc(answerTimeout, func() { _ = c.cmd.Process.Kill() })
	defer limit.Stop()
	return errors.Join(c.in.Close(), c.cmd.Wait())
}
