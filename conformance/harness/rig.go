package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopLimit is how long a process may take from SIGTERM to its end.
const stopLimit = 5 * time.Second

// Rig owns processes and directories. It is closed once; starting something
// afterwards fails.
type Rig struct {
	// Dir is the work directory, short enough for socket paths.
	Dir string
	// RunDir is below /run, where the provider accepts sockets.
	RunDir string
	// Logs holds one file for each process.
	Logs string

	lock *os.File

	mu        sync.Mutex
	processes []*Process
	closed    bool
	// lost is the first process that ended by itself, watchers are told of it.
	lost     error
	watchers []context.CancelCauseFunc
}

// rigs are the open ones, so that a signal handler can close them all.
var rigs struct {
	sync.Mutex
	open map[*Rig]bool
}

// Open makes the directories.
func Open() (*Rig, error) {
	run, lock, err := runDirectory()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bkp-")
	if err != nil {
		return nil, errors.Join(err, lock.Close(), os.RemoveAll(run))
	}
	rig := &Rig{Dir: dir, RunDir: run, Logs: filepath.Join(dir, "logs"), lock: lock}
	if err := os.Mkdir(rig.Logs, 0o700); err != nil {
		return nil, errors.Join(err, rig.Close(false))
	}
	rigs.Lock()
	defer rigs.Unlock()
	if rigs.open == nil {
		rigs.open = map[*Rig]bool{}
	}
	rigs.open[rig] = true
	return rig, nil
}

// Start runs a program whose output goes to Logs/name.log. A second start under
// the same name appends.
func (r *Rig) Start(name string, binary Binary, args ...string) (*Process, error) {
	path, err := binary.Path()
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, errors.New("the rig is closed")
	}
	process, err := startProcess(name, filepath.Join(r.Logs, name+".log"), path, args...)
	if err != nil {
		return nil, err
	}
	r.processes = append(r.processes, process)
	go r.mind(process)
	return process, nil
}

// mind waits for the end of a process and tells the watchers when nobody wanted it.
func (r *Rig) mind(process *Process) {
	<-process.exited
	if process.told.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost != nil || r.closed {
		return
	}
	r.lost = process.died()
	for _, tell := range r.watchers {
		tell(r.lost)
	}
}

// Watch gives a context that ends as soon as any process of the rig ends without having
// been told to. Its cause then names that process, and [Wait] says the cause instead of
// waiting for something that cannot come any more. The cancel function is for the end.
func (r *Rig) Watch(ctx context.Context) (context.Context, context.CancelFunc) {
	watched, tell := context.WithCancelCause(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watchers = append(r.watchers, tell)
	if r.lost != nil {
		tell(r.lost)
	}
	return watched, func() { tell(nil) }
}

// Lost is the error of the first process that ended without having been told to; nil
// while all is well.
func (r *Rig) Lost() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

// Close stops everything, last started first, and removes the directories. With
// keepLogs the logs stay where they are.
func (r *Rig) Close(keepLogs bool) error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	processes := r.processes
	r.mu.Unlock()

	var problems []error
	for i := len(processes) - 1; i >= 0; i-- {
		if processes[i].Running() {
			problems = append(problems, processes[i].Stop(stopLimit))
		}
	}
	problems = append(problems, r.lock.Close(), os.RemoveAll(r.RunDir))
	if keepLogs {
		problems = append(problems, r.removeAllButLogs())
	} else {
		problems = append(problems, os.RemoveAll(r.Dir))
	}
	rigs.Lock()
	delete(rigs.open, r)
	rigs.Unlock()
	return errors.Join(problems...)
}

func (r *Rig) removeAllButLogs() error {
	entries, err := os.ReadDir(r.Dir)
	if err != nil {
		return err
	}
	var problems []error
	for _, entry := range entries {
		if path := filepath.Join(r.Dir, entry.Name()); path != r.Logs {
			problems = append(problems, os.RemoveAll(path))
		}
	}
	return errors.Join(problems...)
}

// CloseAll closes every open rig; for the end of a process and for signal handlers.
// It kills first, so that it is quick.
func CloseAll(keepLogs bool) error {
	rigs.Lock()
	open := make([]*Rig, 0, len(rigs.open))
	for rig := range rigs.open {
		open = append(open, rig)
	}
	rigs.Unlock()
	var problems []error
	for _, rig := range open {
		rig.mu.Lock()
		for _, process := range rig.processes {
			process.told.Store(true)
			process.signal(syscall.SIGKILL)
		}
		rig.mu.Unlock()
		problems = append(problems, rig.Close(keepLogs))
	}
	return errors.Join(problems...)
}

const runPrefix = "bkp-"

// runDirectory makes a directory in the user's part of /run that only this user may
// write. The lock in it tells a later run whether the owner still lives: directories
// left behind by a killed run are removed here.
func runDirectory() (string, *os.File, error) {
	place := runPlace(os.Geteuid(), os.Getenv("XDG_RUNTIME_DIR"))
	removeAbandoned(place)
	dir, err := os.MkdirTemp(place, runPrefix)
	if err != nil {
		return "", nil, errors.New(cannotWrite(place, os.Geteuid()))
	}
	lock, err := lockFile(filepath.Join(dir, ".lock"), os.O_CREATE)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, lock, nil
}

// runPlace is where sockets go, because the provider accepts them below /run only: root
// has /run; everybody else the session's directory when it lies there, and /run/user/UID
// when it does not. scripts/run-dir.sh and bao-dev follow the same rule.
func runPlace(uid int, session string) string {
	switch {
	case uid == 0:
		return "/run"
	case strings.HasPrefix(filepath.Clean(session), "/run/"):
		return session
	default:
		return ownRunPlace(uid)
	}
}

func ownRunPlace(uid int) string { return fmt.Sprintf("/run/user/%d", uid) }

func cannotWrite(place string, uid int) string {
	advice := `sudo install -d -m 0700 -o "$USER" ` + ownRunPlace(uid)
	if place != ownRunPlace(uid) {
		advice = "unset XDG_RUNTIME_DIR; " + advice
	}
	return fmt.Sprintf("sockets need a folder below /run, and %s cannot be written; run: %s", place, advice)
}

func removeAbandoned(place string) {
	entries, err := os.ReadDir(place)
	if err != nil {
		return
	}
	for _, entry := range entries {
		dir := filepath.Join(place, entry.Name())
		if !entry.IsDir() || !strings.HasPrefix(entry.Name(), runPrefix) {
			continue
		}
		if lock, err := lockFile(filepath.Join(dir, ".lock"), 0); err == nil {
			// Another user's directory stays: removing fails, and that is fine.
			_ = os.RemoveAll(dir)
			_ = lock.Close()
		}
	}
}

func lockFile(path string, flags int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|flags, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// freeAddress is a loopback address nobody listens on now. Somebody could take it
// before it is used; whoever uses it fails loudly then.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
