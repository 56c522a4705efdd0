package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A test binary started with this variable is a parent that starts a child, says
// its number and waits to be killed.
const parentRole = "HARNESS_TEST_PARENT"

func TestMain(m *testing.M) {
	if log := os.Getenv(parentRole); log != "" {
		child, err := startProcess("child", log, "/bin/sleep", "60")
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(child.Pid())
		select {}
	}
	os.Exit(m.Run())
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestAChildDiesWithAParentThatIsKilled(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(self)
	parent.Env = append(os.Environ(), parentRole+"="+filepath.Join(t.TempDir(), "log"))
	said, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 32)
	n, _ := said.Read(line)
	pid, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
	if err != nil {
		t.Fatalf("the parent said %q", line[:n])
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	err = Wait(t.Context(), "the child to die", 5*time.Second, func(context.Context) error {
		if alive(pid) && !zombie(pid) {
			return errors.New("it is alive")
		}
		return nil
	})
	if err != nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		t.Fatal(err)
	}
}

// zombie is a dead process that nobody has collected, as in containers whose first
// process does not.
func zombie(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(text), ") Z ")
}

func TestKillTakesTheWholeGroup(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	process, err := startProcess("shell", log, "/bin/sh", "-c", "sleep 60 & echo $!; wait")
	if err != nil {
		t.Fatal(err)
	}
	var grandchild int
	err = Wait(t.Context(), "the grandchild", 5*time.Second, func(context.Context) error {
		text, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		grandchild, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	process.Kill()
	if process.Running() || process.ExitCode() != -1 {
		t.Fatalf("running %v, exit code %d", process.Running(), process.ExitCode())
	}
	err = Wait(t.Context(), "the grandchild to die", 5*time.Second, func(context.Context) error {
		if alive(grandchild) && !zombie(grandchild) {
			return errors.New("it is alive")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAChildThatEndsByItselfIsReportedWithTheEndOfItsLog(t *testing.T) {
	process, err := startProcess("shell", filepath.Join(t.TempDir(), "log"), "/bin/sh", "-c", "echo no licence; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	err = Wait(t.Context(), "the shell to serve", time.Minute, func(context.Context) error {
		if err := process.died(); err != nil {
			return err
		}
		return errors.New("it does not serve yet")
	})
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no licence") {
		t.Fatalf("got %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Fatalf("a dead process was waited for: %s", took)
	}
}

func TestAStubbornChildIsKilledAndReported(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	process, err := startProcess("shell", log, "/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
	if err != nil {
		t.Fatal(err)
	}
	err = Wait(t.Context(), "the trap", 5*time.Second, func(context.Context) error {
		if process.LogTail(1) != "  ready" {
			return errors.New("not set")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Stop(200 * time.Millisecond); err == nil {
		t.Fatal("it was stopped in peace")
	}
	if process.Running() {
		t.Fatal("it is still running")
	}
}
