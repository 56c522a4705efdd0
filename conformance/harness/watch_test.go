package harness

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// shell is a program that ends as its argument says.
func shell(t *testing.T, rig *Rig, name, script string) *Process {
	t.Helper()
	t.Setenv("SHELL_BIN", "/bin/sh")
	process, err := rig.Start(name, Binary{Name: name, Env: "SHELL_BIN"}, "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	return process
}

func TestWhoeverWaitsIsToldAtOnceWhichOtherProcessDied(t *testing.T) {
	rig := openRig(t)
	defer rig.Close(false)
	watched, unwatch := rig.Watch(t.Context())
	defer unwatch()
	shell(t, rig, "etcd", "echo no space left; sleep 0.2; kill -9 $$")
	began := time.Now()
	err := Wait(watched, "the API server to be ready", time.Minute, func(context.Context) error {
		return errors.New("it says 500")
	})
	if err == nil {
		t.Fatal("it was waited for in vain")
	}
	for _, part := range []string{"the API server to be ready", "etcd ended by itself", "killed", "no space left"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("no %q in: %v", part, err)
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Fatalf("a dead process was waited for: %s", took)
	}
	if lost := rig.Lost(); lost == nil || !strings.Contains(lost.Error(), "etcd") {
		t.Fatalf("the rig says %v", lost)
	}
	late, unwatchLate := rig.Watch(t.Context())
	defer unwatchLate()
	if late.Err() == nil {
		t.Fatal("who watches afterwards is told nothing")
	}
}

func TestAProcessThatWasToldToEndIsNotLost(t *testing.T) {
	rig := openRig(t)
	defer rig.Close(false)
	watched, unwatch := rig.Watch(t.Context())
	defer unwatch()
	shell(t, rig, "one", "exec sleep 60").Kill()
	if err := shell(t, rig, "two", "exec sleep 60").Stop(stopLimit); err != nil {
		t.Fatal(err)
	}
	// The first loss is what is told, so this one would not be, had there been another.
	shell(t, rig, "three", "exit 3")
	<-watched.Done()
	if lost := rig.Lost(); !strings.Contains(lost.Error(), "three") {
		t.Fatalf("the rig lost %v", lost)
	}
}
