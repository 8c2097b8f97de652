//go:build linux

// Command load makes a SIP server work and checks everything it answers. It
// prints one line of JSON on standard output and one for a reader on standard
// error. bench/README.md says how the project uses it.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

type config struct {
	server    netip.AddrPort
	transport string
	name      string
	operation string
	echo      bool
	pid       int
	sockets   int
	inFlight  int
	users     int
	perAOR    int
	algorithm string
	status    int
	again     bool
	duration  time.Duration
	warmup    time.Duration
	wait      time.Duration
	rate      float64
	// reloadURL is the admin endpoint of a server that is to load its
	// configuration again while measuring.
	reloadURL string
	// profileURL is asked for a CPU profile while measuring, which goes to
	// profileFile.
	profileURL, profileFile string
}

func main() {
	var c config
	server := flag.String("server", "127.0.0.1:15060", "the server's IPv4 address and port")
	flag.StringVar(&c.transport, "transport", "udp", "udp, or tcp: each phone has a connection of its own")
	flag.StringVar(&c.name, "name", "server", "what to call the server in the result")
	flag.StringVar(&c.operation, "op", "register", "register, digest, options, lrc, call or memory")
	label := flag.String("label", "", "what to call the operation in the result (default: its name)")
	flag.BoolVar(&c.echo, "echo", false, "the server only echoes: send it what the operation's phones send")
	flag.IntVar(&c.pid, "pid", 0, "the server's process; its descendants count as well (0: measure no CPU or memory)")
	flag.IntVar(&c.sockets, "sockets", 32, "phones: sockets or connections, each with its own port")
	flag.IntVar(&c.inFlight, "inflight", 512, "operations in flight")
	flag.IntVar(&c.users, "users", 10_000, "registered users (calls go to the first 1000, memory inserts them all)")
	flag.IntVar(&c.perAOR, "contacts", 1, "how many of the registered users share an address-of-record")
	flag.StringVar(&c.algorithm, "algorithm", "MD5", "what digest authenticates with: MD5 or SHA-256")
	usersFile := flag.String("write-users", "", "write the users of digest to this file, for caddysip's users_file, and end")
	flag.IntVar(&c.status, "status", 404, "the status that OPTIONS must have")
	flag.BoolVar(&c.again, "again", false, "let the server send a second MESSAGE for an INVITE that was repeated")
	flag.DurationVar(&c.duration, "duration", 3*time.Second, "how long to measure")
	flag.DurationVar(&c.warmup, "warmup", time.Second, "how long to run before measuring")
	flag.DurationVar(&c.wait, "wait", 30*time.Second, "how long to wait for the server to come up")
	flag.Float64Var(&c.rate, "rate", 0, "operations a second (0: as many as the window allows)")
	flag.StringVar(&c.reloadURL, "reload", "", "Caddy's admin endpoint: reload the server through it every half second while measuring")
	flag.StringVar(&c.profileURL, "profile-url", "http://127.0.0.1:2998/debug/pprof/profile", "where the server gives its CPU profile")
	flag.StringVar(&c.profileFile, "profile", "", "file for a CPU profile taken while measuring")
	flag.Parse()

	res := &result{Server: c.name, Operation: cmp.Or(*label, c.operation)}
	err := c.check(*server, flag.Args())
	if err == nil && *usersFile != "" {
		if err = c.writeUsers(*usersFile); err == nil {
			return
		}
	}
	if err == nil {
		err = c.run(res)
	}
	var unable unavailable
	if errors.As(err, &unable) {
		res.Unavailable = unable.Error()
		err = nil
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, res)
	if err := json.NewEncoder(os.Stdout).Encode(res); err != nil {
		fmt.Fprintln(os.Stderr, "load: writing the result:", err)
		os.Exit(1)
	}
}

// check refuses what the command line cannot mean.
func (c *config) check(server string, rest []string) (err error) {
	c.server, err = netip.ParseAddrPort(server)
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case err != nil || !c.server.Addr().IsLoopback() || !c.server.Addr().Is4():
		// The generator floods; it must never reach anybody else's server.
		return fmt.Errorf("-server %s: want an IPv4 loopback address and a port", server)
	case c.transport != "udp" && c.transport != "tcp":
		return fmt.Errorf("-transport %s: want udp or tcp", c.transport)
	case echoed[c.operation] == nil && (c.operation != "memory" && c.operation != "digest" || c.echo):
		return fmt.Errorf("-op %s: no such operation", c.operation)
	case algorithms[c.algorithm] == nil:
		return fmt.Errorf("-algorithm %s: want MD5 or SHA-256", c.algorithm)
	case c.sockets < 1 || c.inFlight < 1 || c.inFlight >= slotLimit-1:
		return fmt.Errorf("want -sockets of at least 1 and -inflight of 1 to %d", slotLimit-2)
	case c.users < 2*c.inFlight || c.users > maxUsers || c.perAOR < 1:
		return fmt.Errorf("-users %d: want %d to %d, and -contacts of at least 1", c.users, 2*c.inFlight, maxUsers)
	case c.duration < 100*time.Millisecond || c.warmup < 0 || c.rate < 0:
		return errors.New("want -duration of at least 100ms, -warmup and -rate not negative")
	}
	return nil
}

// writeUsers writes the file of users that a server needs for digest.
func (c *config) writeUsers(name string) error {
	file, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("writing the users: %w", err)
	}
	w := bufio.NewWriter(file)
	if err := writeUsers(w, c.users); err != nil {
		file.Close()
		return err
	}
	if err := w.Flush(); err != nil {
		file.Close()
		return fmt.Errorf("writing the users: %w", err)
	}
	return file.Close()
}

// unavailable says that a server cannot do an operation.
type unavailable struct{ error }

func (c *config) run(res *result) error {
	runtime.LockOSThread()
	debug.SetGCPercent(400)
	if _, err := processTree(c.pid); err != nil {
		return err
	}
	loop, err := newLoop()
	if err != nil {
		return err
	}
	if err := c.awaitServer(); err != nil {
		return unavailable{err}
	}
	phones, err := loop.openSockets(c.transport, c.server, c.sockets)
	if err != nil {
		return err
	}
	r := &runner{loop: loop, reliable: c.transport == "tcp"}
	// Only now: a server's workers may be started after it has its socket.
	server, err := processTree(c.pid)
	if err != nil {
		return err
	}
	if res.MemoryBefore, err = server.memory(); err != nil {
		return err
	}
	if c.operation == "memory" {
		return c.fill(r, phones, server, res)
	}
	op, err := c.prepare(r, phones)
	if err != nil {
		return err
	}
	// One operation alone tells whether the server can do it at all.
	if err := r.phase(op, 1, 1, 0); err != nil || r.errors > 0 {
		return unavailable{r.trouble(err)}
	}
	r.trying = 0
	return c.measure(r, op, server, res)
}

// awaitServer waits until the server answers.
func (c *config) awaitServer() error {
	err := errors.New("no time to wait")
	seq := uint32(time.Now().UnixMilli() % 90_000_000)
	for deadline := nanotime() + int64(c.wait); nanotime() < deadline; seq++ {
		if c.pid > 0 && ended(c.pid) {
			return errors.New("the server has ended")
		}
		if err = c.ping(seq); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("nothing answers OPTIONS at %s over %s within %s: %w", c.server, c.transport, c.wait, err)
}

// ping sends OPTIONS and waits a moment for any answer. It has a socket of its
// own, so that an answer which comes later is not taken for the load's.
func (c *config) ping(seq uint32) error {
	l, err := newLoop()
	if err != nil {
		return err
	}
	defer l.close()
	phone, err := l.open(c.transport, c.server)
	if err != nil {
		return err
	}
	request := phone.template(optionsText).instantiate(phone.port)
	request.set("cseq", uint64(firstCSeq+seq))
	request.setID(slotLimit-1, seq)
	phone.send(request.data)
	l.flush()
	answered := false
	if err := l.wait(50, func(*socket, []byte) { answered = true }); err != nil {
		return err
	}
	if !answered {
		return errors.New("no answer")
	}
	return nil
}

// prepare registers whom the operation needs and returns the operation.
func (c *config) prepare(r *runner, phones []*socket) (operation, error) {
	if c.echo {
		return newEcho(r, phones, c.operation, c.inFlight), nil
	}
	switch c.operation {
	case "options":
		return newOptions(r, phones, c.status, c.inFlight), nil
	case "lrc":
		return newLRC(r, phones, c.again, c.inFlight), nil
	case "call":
		callees, err := r.loop.openSockets(c.transport, c.server, c.sockets)
		if err != nil {
			return nil, err
		}
		users := min(c.users, 1000)
		insert := newRegister(r, callees, users, min(c.inFlight, users/2), nil)
		if err := r.insert(insert); err != nil {
			return nil, err
		}
		return newCall(r, c.server, phones, callees, users, c.inFlight), nil
	case "digest":
		op := newRegister(r, phones, c.users, c.inFlight, newDigest(c.algorithm, c.users))
		return op, r.insert(op)
	default:
		op := newRegister(r, phones, c.users, c.inFlight, nil)
		op.perAOR = c.perAOR
		return op, r.insert(op)
	}
}

// insert registers every user once, the first alone.
func (r *runner) insert(op *register) error {
	if err := r.phase(op, 1, 1, 0); err != nil || r.errors > 0 {
		return unavailable{fmt.Errorf("registering: %w", r.trouble(err))}
	}
	if err := r.phase(op, len(op.slots), int64(len(op.busy)-1), 0); err != nil || r.errors > 0 {
		return unavailable{fmt.Errorf("registering %d users: %w", len(op.busy), r.trouble(err))}
	}
	return nil
}

// trouble is the first checked error, or else err.
func (r *runner) trouble(err error) error {
	if len(r.samples) > 0 {
		return errors.New(r.samples[0])
	}
	return err
}

// measure runs the operation, and takes its figures once it has warmed up.
func (c *config) measure(r *runner, op operation, server processes, res *result) error {
	r.prepare(op, c.inFlight)
	r.rate = c.rate
	if c.rate > 0 {
		// Never in bursts larger than the rate asks for, nor more often than
		// the generator can afford to wake.
		if err := r.loop.tick(max(int64(1e9/c.rate), 100_000)); err != nil {
			return err
		}
	}
	until := r.loop.now + int64(c.warmup)
	var err error
	if err = r.run(func() bool { return r.loop.now < until }); err != nil {
		return unavailable{r.trouble(err)}
	}
	if res.MemoryStart, err = server.memory(); err != nil {
		return err
	}
	before, err := server.cpu()
	if err != nil {
		return err
	}
	finished := c.startProfile()
	var reloaded <-chan reloads
	if c.reloadURL != "" {
		reloaded = reload(c.reloadURL, c.duration)
	}
	own, from, ended := ownCPU(), nanotime(), r.ended
	r.measuring = true
	r.latencies = make([]uint32, 0, 1<<20)
	until = from + int64(c.duration)
	err = r.run(func() bool { return r.loop.now < until })
	r.measuring = false
	if err != nil {
		return unavailable{r.trouble(err)}
	}
	seconds := float64(nanotime()-from) / 1e9
	after, err := server.cpu()
	if err != nil {
		return err
	}
	own = ownCPU() - own
	if res.Memory, err = server.memory(); err != nil {
		return err
	}
	if err := r.drain(); err != nil {
		return unavailable{r.trouble(err)}
	}
	// What ended while draining is not part of the measurement.
	res.Operations, res.Seconds = int64(len(r.latencies)), seconds
	if res.Operations == 0 {
		return unavailable{fmt.Errorf("no operation ended within %s (%d before)", c.duration, ended)}
	}
	res.Rate = float64(res.Operations) / seconds
	res.ServerCPU = (after - before) * 1e6 / float64(res.Operations)
	res.LoadCPU = own * 1e6 / float64(res.Operations)
	res.take(r)
	if reloaded != nil {
		ended := <-reloaded
		if ended.err != nil {
			return ended.err
		}
		res.Reloads, res.WorstReload = ended.count, float64(ended.worst.Microseconds())
	}
	return <-finished
}

// fill registers all users and says what the server needs for each.
func (c *config) fill(r *runner, phones []*socket, server processes, res *result) error {
	before, err := server.cpu()
	if err != nil {
		return err
	}
	finished := c.startProfile()
	from := nanotime()
	r.measuring = true
	r.latencies = make([]uint32, 0, c.users)
	if err := r.insert(newRegister(r, phones, c.users, c.inFlight, nil)); err != nil {
		return err
	}
	res.Operations, res.Seconds = int64(c.users), float64(nanotime()-from)/1e9
	after, err := server.cpu()
	if err != nil {
		return err
	}
	// Nobody is talking to the server now: what it gives back soon is not
	// what the registrations need.
	time.Sleep(3 * time.Second)
	if res.Memory, err = server.memory(); err != nil {
		return err
	}
	res.Rate = float64(c.users) / res.Seconds
	res.ServerCPU = (after - before) * 1e6 / float64(c.users)
	res.BytesPerRegistration = float64(res.Memory-res.MemoryBefore) / float64(c.users)
	res.take(r)
	return <-finished
}

// startProfile takes a profile if one is wanted. The channel is read once.
func (c *config) startProfile() <-chan error {
	if c.profileFile == "" {
		ended := make(chan error, 1)
		ended <- nil
		return ended
	}
	return profile(c.profileURL, c.profileFile, c.duration)
}

// ownCPU returns the seconds of CPU time that the generator has used.
func ownCPU() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}
