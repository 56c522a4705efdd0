package harness

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Process is a child in its own process group.
type Process struct {
	name    string
	command *exec.Cmd
	logPath string
	exited  chan struct{}
	result  error // valid once exited is closed
	// told is set before we end the child, so that nobody wonders about its end.
	told atomic.Bool
}

// spawn starts a child from one thread that lives as long as this process: the
// kernel sends the parent-death signal when the starting thread ends, and Go ends
// threads as it likes.
var spawn = sync.OnceValue(func() chan<- spawnRequest {
	requests := make(chan spawnRequest)
	go func() {
		runtime.LockOSThread()
		for request := range requests {
			request.done <- request.command.Start()
		}
	}()
	return requests
})

type spawnRequest struct {
	command *exec.Cmd
	done    chan error
}

// startProcess runs binary with its output appended to logPath.
func startProcess(name, logPath, binary string, args ...string) (*Process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	command := exec.Command(binary, args...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

	request := spawnRequest{command, make(chan error, 1)}
	spawn() <- request
	if err := <-request.done; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	process := &Process{name: name, command: command, logPath: logPath, exited: make(chan struct{})}
	go func() {
		defer close(process.exited)
		process.result = command.Wait()
	}()
	return process, nil
}

// Kill is kill -9 for the whole group; it returns when the child is gone.
func (p *Process) Kill() {
	p.told.Store(true)
	p.signal(syscall.SIGKILL)
	<-p.exited
}

// Stop asks with SIGTERM and waits; after limit it kills and says so.
func (p *Process) Stop(limit time.Duration) error {
	p.told.Store(true)
	p.signal(syscall.SIGTERM)
	select {
	case <-p.exited:
		return nil
	case <-time.After(limit):
		p.Kill()
		return fmt.Errorf("%s did not stop within %s of SIGTERM and was killed", p.name, limit)
	}
}

// Running is false once the child has exited.
func (p *Process) Running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// ExitCode waits for the end. A signal gives -1.
func (p *Process) ExitCode() int {
	<-p.exited
	return p.command.ProcessState.ExitCode()
}

// Pid is the process id, which is the group id too.
func (p *Process) Pid() int { return p.command.Process.Pid }

func (p *Process) signal(signal syscall.Signal) {
	if p.Running() {
		// A child that ended in between has no group any more, which is what we want.
		_ = syscall.Kill(-p.Pid(), signal)
	}
}

// died is an error that ends all waiting, when the child is gone.
func (p *Process) died() error {
	if p.Running() {
		return nil
	}
	reason := "exit code 0"
	if p.result != nil {
		reason = p.result.Error()
	}
	return Final(fmt.Errorf("%s ended by itself (%s); its log ends with:\n%s", p.name, reason, p.LogTail(12)))
}

// LogTail is the last lines of the log, indented.
func (p *Process) LogTail(lines int) string {
	text, err := os.ReadFile(p.logPath)
	if err != nil {
		return "  (no log: " + err.Error() + ")"
	}
	if text = bytes.TrimSpace(text); len(text) == 0 {
		return "  (the log is empty)"
	}
	all := strings.Split(string(text), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return "  " + strings.Join(all, "\n  ")
}
