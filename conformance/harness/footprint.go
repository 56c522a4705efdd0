package harness

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Footprint is what a process holds of the machine.
type Footprint struct {
	Descriptors int
	Threads     int
	// ResidentKiB now, PeakKiB since it started.
	ResidentKiB int
	PeakKiB     int
	// Processor is the time that all its threads have had since it started.
	Processor time.Duration
}

// footprint reads /proc.
func footprint(pid int) (Footprint, error) {
	held, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return Footprint{}, err
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Footprint{}, err
	}
	found := Footprint{Descriptors: len(held)}
	wanted := map[string]*int{"Threads": &found.Threads, "VmRSS": &found.ResidentKiB, "VmHWM": &found.PeakKiB}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		place, ok := wanted[name]
		if !ok {
			continue
		}
		if *place, err = strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB")); err != nil {
			return Footprint{}, fmt.Errorf("/proc/%d/status: %w", pid, err)
		}
	}
	found.Processor, err = processor(pid)
	return found, err
}

// processor adds user and system time, which the kernel counts in hundredths of a second.
func processor(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, which may hold anything, ends with the last parenthesis.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat is too short", pid)
	}
	total := 0
	for _, field := range fields[11:13] {
		ticks, err := strconv.Atoi(field)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		total += ticks
	}
	return time.Duration(total) * 10 * time.Millisecond, nil
}
