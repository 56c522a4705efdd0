package harness

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func openRig(t *testing.T) *Rig {
	t.Helper()
	rig, err := Open()
	if err != nil {
		if os.Getenv("CONFORMANCE_REQUIRED") == "1" {
			t.Fatalf("CONFORMANCE_REQUIRED=1, and no rig can be made here: %v", err)
		}
		t.Skipf("no rig can be made here: %v", err)
	}
	return rig
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestClosingARigLeavesNothing(t *testing.T) {
	rig := openRig(t)
	if err := rig.Close(false); err != nil {
		t.Fatal(err)
	}
	if exists(rig.Dir) || exists(rig.RunDir) {
		t.Fatal("a directory is left")
	}
	if err := rig.Close(false); err != nil {
		t.Fatalf("closing twice: %v", err)
	}
	if _, err := rig.Start("late", EtcdBinary); err == nil {
		t.Fatal("a closed rig started something")
	}
}

func TestClosingAFailedRigLeavesItsLogsOnly(t *testing.T) {
	rig := openRig(t)
	defer os.RemoveAll(rig.Dir)
	for _, path := range []string{filepath.Join(rig.Logs, "x.log"), filepath.Join(rig.Dir, "data")} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := rig.Close(true); err != nil {
		t.Fatal(err)
	}
	if !exists(filepath.Join(rig.Logs, "x.log")) || exists(filepath.Join(rig.Dir, "data")) || exists(rig.RunDir) {
		t.Fatal("not the logs alone are left")
	}
}

func TestADirectoryThatAKilledRunLeftIsRemovedAndALiveOneIsNot(t *testing.T) {
	place := t.TempDir()
	dead, live, strange := filepath.Join(place, "bkp-dead"), filepath.Join(place, "bkp-live"), filepath.Join(place, "bkp-strange")
	for _, dir := range []string{dead, live, strange} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dead, ".lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	lock, err := lockFile(filepath.Join(live, ".lock"), os.O_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()

	removeAbandoned(place)
	if exists(dead) {
		t.Error("the abandoned directory is still there")
	}
	if !exists(live) {
		t.Error("the directory of a living run was removed")
	}
	if !exists(strange) {
		t.Error("a directory without our lock was removed")
	}
}

func TestASessionsDirectoryCountsOnlyBelowRun(t *testing.T) {
	for _, c := range []struct {
		uid           int
		session, want string
	}{
		{0, "/run/user/0", "/run"},
		{0, "", "/run"},
		{7, "/run/user/7", "/run/user/7"},
		{7, "/run/elsewhere", "/run/elsewhere"},
		{7, "/tmp/session", "/run/user/7"},
		{7, "/runner", "/run/user/7"},
		{7, "/run", "/run/user/7"},
		{7, "/run/../tmp", "/run/user/7"},
		{7, "", "/run/user/7"},
	} {
		if got := runPlace(c.uid, c.session); got != c.want {
			t.Errorf("%d %q: %s instead of %s", c.uid, c.session, got, c.want)
		}
	}
}

func TestADirectoryThatCannotBeWrittenComesWithTheCommandThatMakesIt(t *testing.T) {
	want := `run: sudo install -d -m 0700 -o "$USER" /run/user/7`
	if got := cannotWrite("/run/user/7", 7); !strings.HasSuffix(got, want) {
		t.Error(got)
	}
	if got := cannotWrite("/run/user/0", 7); !strings.Contains(got, "run: unset XDG_RUNTIME_DIR; sudo") {
		t.Error(got)
	}
}

func TestSocketPathsAreShortEnough(t *testing.T) {
	rig := openRig(t)
	defer rig.Close(false)
	if path := filepath.Join(rig.RunDir, "provider-1.sock"); len(path) > 107 {
		t.Fatalf("%s has %d bytes", path, len(path))
	}
}

func TestAMissingProgramIsNamedWithTheCommandThatBuildsIt(t *testing.T) {
	t.Setenv(EtcdBinary.Env, filepath.Join(t.TempDir(), "etcd"))
	_, err := EtcdBinary.Path()
	if err == nil {
		t.Fatal("found")
	}
	if want := (&MissingError{EtcdBinary, os.Getenv(EtcdBinary.Env)}).Error(); err.Error() != want {
		t.Fatalf("got %v", err)
	}
}
