package harness

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Busy is what the machine's processors have done so far.
type Busy struct {
	// all is the time that passed, on all processors; others is what somebody else used of it.
	all, others time.Duration
}

// tick is the unit of /proc/stat.
const tick = 10 * time.Millisecond

// BusyBeside looks now; what the two processes and this one use is not somebody else's.
func BusyBeside(node *Provider, dev *BaoDev) (Busy, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Busy{}, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	// cpu user nice system idle iowait irq softirq steal; what follows is part of these.
	fields := strings.Fields(first)
	if len(fields) < 9 || fields[0] != "cpu" {
		return Busy{}, fmt.Errorf("/proc/stat begins with %q", first)
	}
	var busy Busy
	for i, field := range fields[1:9] {
		ticks, err := strconv.Atoi(field)
		if err != nil {
			return Busy{}, fmt.Errorf("/proc/stat: %w", err)
		}
		busy.all += time.Duration(ticks) * tick
		if idle := i == 3 || i == 4; !idle {
			busy.others += time.Duration(ticks) * tick
		}
	}
	for _, pid := range []int{os.Getpid(), node.process.Pid(), dev.process.Pid()} {
		used, err := processor(pid)
		if err != nil {
			return Busy{}, err
		}
		busy.others -= used
	}
	return busy, nil
}

// Since is the share of the processors that others used since before.
func (b Busy) Since(before Busy) float64 {
	return float64(max(0, b.others-before.others)) / float64(max(tick, b.all-before.all))
}
