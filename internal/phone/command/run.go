package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddysip/caddysip/internal/phone"
	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
)

// settle is how long the phone waits for a key to change after a call or a
// press: the server sets keys after it has answered.
const settle = 2 * time.Second

// firstPush is how long a key that is to be pressed may take to be set: a server sends keys after
// it has answered the registration.
const firstPush = 5 * time.Second

// options are the flags of the command.
type options struct {
	phone  phone.Config
	dial   string
	press  string
	exit   bool
	push   time.Duration // how long to wait for the key to press
	color  bool          // the output is a terminal
	prompt bool          // so is the input
}

// session is one run of the command.
type session struct {
	options
	phone *phone.Phone
	out   *screen
}

// run is the command. It ends with ctx, with quit on in, or by itself with
// --exit.
func run(ctx context.Context, o options, in io.Reader, out io.Writer) error {
	s := &session{options: o, out: newScreen(out, o)}
	cfg := o.phone
	cfg.OnKey = func(b buttons.Button) { s.out.key(b) }
	cfg.OnText = func(from, text string) { s.out.say("message from %s: %q", from, text) }
	cfg.OnCall = s.out.call
	cfg.OnRegistration = func(registered bool, err error) {
		switch {
		case err != nil:
			s.out.say("not registered: %v", err)
		case registered:
			s.out.say("registered as %s", cfg.User)
		default:
			s.out.say("unregistered")
		}
	}
	p, err := phone.New(cfg)
	if err != nil {
		return err
	}
	defer p.Close()
	s.phone = p
	if err := p.Start(ctx); err != nil {
		return err
	}
	s.out.say("snom%s at %s", cfg.Model, p.Contact())

	// A server without a registrar can still be called.
	registerErr := p.Register(ctx)
	defer s.leave()

	if s.exit {
		err := s.script(ctx)
		s.out.keys(p.State().Keys)
		return errors.Join(registerErr, err)
	}

	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() {
		if err := s.script(ctx); err != nil && ctx.Err() == nil {
			s.out.say("%v", err)
		}
	})
	return s.interact(ctx, in)
}

// leave hangs up and unregisters, within a short time limit.
func (s *session) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), settle)
	defer cancel()
	for _, c := range s.phone.Calls() {
		_ = c.Hangup(ctx)
	}
	if s.phone.State().Registered {
		_ = s.phone.Unregister(ctx) // said by OnRegistration
	}
}

// script dials and presses what the flags say. It returns an error if a request was not answered at
// all.
func (s *session) script(ctx context.Context) error {
	if s.dial != "" {
		changes := s.phone.State().KeyChanges
		call, err := s.phone.Dial(ctx, s.dial)
		if err != nil {
			return err
		}
		if err := s.finish(ctx, call, changes); err != nil {
			return err
		}
	}
	if s.press != "" {
		s.awaitKey(ctx, s.press)
		changes := s.phone.State().KeyChanges
		call, err := s.phone.Press(ctx, s.press)
		var status *phone.StatusError
		switch {
		case errors.Is(err, phone.ErrNoNumber), errors.As(err, &status):
			s.out.say("%v", err)
		case err != nil:
			return err
		case call == nil:
			s.out.say("key %s pressed", s.press)
		}
		if !errors.Is(err, phone.ErrNoNumber) {
			return s.finish(ctx, call, changes)
		}
	}
	return nil
}

// awaitKey waits until a key has been set.
func (s *session) awaitKey(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(ctx, s.push)
	defer cancel()
	set := func(st phone.State) bool { return st.Keys[key].Key != "" }
	if s.phone.Wait(ctx, set) != nil {
		s.out.say("the server has sent no key %s within %v", key, s.push)
	}
}

// finish waits for the answer to a call, if there is one, and for the keys to
// change after that. A call that was answered is hung up in the end.
func (s *session) finish(ctx context.Context, call *phone.Call, changes int) error {
	if call != nil {
		if _, err := call.Final(ctx); err != nil {
			return err
		}
	}
	waiting, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	// That no key changes is an outcome like any other.
	_ = s.phone.Wait(waiting, func(st phone.State) bool { return st.KeyChanges > changes })
	if s.exit && call != nil && call.State() == phone.Answered {
		return call.Hangup(ctx)
	}
	return nil
}

const help = `dial <number>   call a number
press <key>     press a key
answer          take the call that rings
hangup          end the last call
keys            show the keys that are set
quit            unregister and end`

// interact runs the commands that it reads, until quit or the end of ctx. It goes on after the end
// of the input.
func (s *session) interact(ctx context.Context, in io.Reader) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := make(chan string)
	// A read from a terminal can't be interrupted: the goroutine may stay until
	// the process ends.
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(in); scanner.Scan(); {
			select {
			case lines <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	s.out.ready()
	for {
		select {
		case <-ctx.Done():
			return nil
		case line, ok := <-lines:
			if !ok {
				lines = nil
				continue
			}
			command, argument, _ := strings.Cut(strings.TrimSpace(line), " ")
			if command == "quit" || command == "exit" {
				return nil
			}
			// What takes long must not keep the next line waiting.
			wg.Go(func() {
				if err := s.command(ctx, command, strings.TrimSpace(argument)); err != nil &&
					ctx.Err() == nil {
					s.out.say("%v", err)
				}
			})
		}
	}
}

func (s *session) command(ctx context.Context, command, argument string) error {
	switch command {
	case "":
		s.out.ready()
		return nil
	case "help":
		for line := range strings.Lines(help) {
			s.out.say("%s", strings.TrimSuffix(line, "\n"))
		}
		return nil
	case "keys":
		s.out.keys(s.phone.State().Keys)
		return nil
	case "dial":
		_, err := s.phone.Dial(ctx, argument)
		return err
	case "press":
		call, err := s.phone.Press(ctx, argument)
		if err == nil && call == nil {
			s.out.say("key %s pressed", argument)
		}
		return err
	case "answer":
		for _, c := range s.phone.Calls() {
			if c.Incoming && c.State() == phone.Ringing {
				return c.Answer(ctx)
			}
		}
		return errors.New("nothing rings")
	case "hangup":
		for _, c := range slices.Backward(s.phone.Calls()) {
			return c.Hangup(ctx)
		}
		return errors.New("there is no call")
	}
	return fmt.Errorf("%q is not a command: help lists them", command)
}
