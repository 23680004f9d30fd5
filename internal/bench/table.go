package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report is what -json writes.
type report struct {
	Facts  machine `json:"facts"`
	Tables []table `json:"tables"`
}

// machine is what the figures depend on.
type machine struct {
	Date     string `json:"date"`
	Commit   string `json:"commit"`
	Go       string `json:"go"`
	System   string `json:"system"`
	CPUs     int    `json:"cpus"`
	Load     string `json:"loadAverage,omitempty"`
	Postgres string `json:"postgres,omitempty"`
	Clients  int    `json:"clients"`
	Duration string `json:"duration"`
}

func facts(ctx context.Context, o options) machine {
	m := machine{
		Date: time.Now().UTC().Format("2006-01-02 15:04 MST"), Commit: commit(ctx), Go: runtime.Version(),
		System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(), Load: loadAverage(), Clients: o.clients, Duration: o.duration.String(),
	}
	if o.database != "sqlite" {
		m.Postgres = postgresVersion(ctx)
	}
	return m
}

// loadAverage is the machine's over the last minute; empty where the system does not tell.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	load, _, _ := strings.Cut(string(text), " ")
	return load
}

// commit names the checkout, with a plus sign where it has changes.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	name := string(bytes.TrimSpace(out))
	if exec.CommandContext(ctx, "git", "diff", "--quiet", "HEAD").Run() != nil {
		name += "+"
	}
	return name
}

// String says it in two lines.
func (m machine) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s, commit %s, %s, %s, %d CPUs", m.Date, m.Commit, m.Go, m.System, m.CPUs)
	if m.Load != "" {
		fmt.Fprintf(&out, ", load average before %s", m.Load)
	}
	if m.Postgres != "" {
		fmt.Fprintf(&out, ", PostgreSQL %s", m.Postgres)
	}
	fmt.Fprintf(&out, "\n%d clients, %s for each row. Clients, service, database and emulator share this machine.\n", m.Clients, m.Duration)
	return out.String()
}

// table is one way to run the service.
type table struct {
	Name        string   `json:"name"`
	Connections int      `json:"connections"`
	MemoryMiB   int64    `json:"memoryMiB,omitempty"`
	Load        string   `json:"loadAverage,omitempty"`
	Rows        []result `json:"rows"`
	// Requests and Window are of a table with HashiCorp Vault.
	Requests []requests `json:"requests,omitempty"`
	Window   []exposure `json:"window,omitempty"`
}

// result is one row. Ratios are of requests per second and of CPU time; a row of Vault itself has none.
type result struct {
	Name     string  `json:"name"`
	Service  figures `json:"service"`
	Bare     figures `json:"bare,omitzero"`
	Ratio    float64 `json:"ratio,omitempty"`
	CPURatio float64 `json:"cpuRatio,omitempty"`
}

// figures are what is printed of a sample.
type figures struct {
	Requests  int     `json:"requests"`
	PerSecond float64 `json:"perSecond"`
	P50Millis float64 `json:"p50Millis"`
	P99Millis float64 `json:"p99Millis"`
	MaxMillis float64 `json:"maxMillis"`
	// CPUMicros is the process's own CPU time for one request; zero where the system does not tell.
	CPUMicros float64 `json:"cpuMicros,omitempty"`
}

func resultOf(name string, ours, bare sample) result {
	r := result{Name: name, Service: figuresOf(ours), Bare: figuresOf(bare)}
	r.Ratio = r.Service.PerSecond / r.Bare.PerSecond
	if r.Service.CPUMicros > 0 {
		r.CPURatio = r.Bare.CPUMicros / r.Service.CPUMicros
	}
	return r
}

func figuresOf(s sample) figures {
	slices.Sort(s.latencies)
	millis := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	n := len(s.latencies)
	return figures{
		Requests: n, PerSecond: s.rate(), P50Millis: millis(s.percentile(0.50)), P99Millis: millis(s.percentile(0.99)),
		MaxMillis: millis(s.latencies[n-1]), CPUMicros: float64(s.cpu.Microseconds()) / float64(n),
	}
}

// String is the table as it is printed.
func (t table) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "\n%s; %d connections", t.Name, t.Connections)
	if t.MemoryMiB > 0 {
		fmt.Fprintf(&out, "; the service's memory peaked at %d MiB", t.MemoryMiB)
	}
	if t.Load != "" {
		fmt.Fprintf(&out, "; load average afterwards %s", t.Load)
	}
	fmt.Fprintf(&out, "\n\n%-26s %10s %8s %8s %8s %6s\n", "", "requests/s", "p50 ms", "p99 ms", "CPU µs", "ratio")
	for _, r := range t.Rows {
		if r.Ratio == 0 {
			fmt.Fprintf(&out, "%-26s %s\n", r.Name, r.Service)
			continue
		}
		fmt.Fprintf(&out, "%-26s %s %6.2f\n", r.Name, r.Service, r.Ratio)
		fmt.Fprintf(&out, "%-26s %s %6d\n", "  bare net/http", r.Bare, 1)
	}
	t.printVault(&out)
	return out.String()
}

// printVault prints what is beside the rows of a table with HashiCorp Vault.
func (t table) printVault(out *strings.Builder) {
	if fresh, read := t.perSecond("credential, fresh"), t.perSecond("Vault: kv read"); fresh > 0 && read > 0 {
		fmt.Fprintf(out, "\ncredential, fresh: %.2f times as many as Vault: kv read\n", fresh/read)
	}
	for i, r := range t.Requests {
		if i == 0 {
			fmt.Fprintf(out, "\n%-26s %10s %10s %10s\n", "requests of Vault", "times", "requests", "each")
		}
		fmt.Fprintf(out, "%-26s %10d %10d %10.2f\n", r.Name, r.Times, r.Requests, r.Each)
	}
	for i, w := range t.Window {
		if i == 0 {
			fmt.Fprintf(out, "\n%-26s %10s %8s %8s %8s\n", "unsafe window", "refreshes", "p50 ms", "p99 ms", "max ms")
		}
		fmt.Fprintf(out, "%-26s %10d %8.2f %8.2f %8.2f\n", fmt.Sprintf("%d clients", w.Clients), w.Refreshes, w.P50Millis, w.P99Millis, w.MaxMillis)
	}
}

// perSecond is a row's rate; zero where it was not measured.
func (t table) perSecond(name string) float64 {
	for _, r := range t.Rows {
		if r.Name == name {
			return r.Service.PerSecond
		}
	}
	return 0
}

// String is the figures' part of a line.
func (f figures) String() string {
	cpu := "-"
	if f.CPUMicros > 0 {
		cpu = fmt.Sprintf("%.0f", f.CPUMicros)
	}
	return fmt.Sprintf("%10.0f %8.2f %8.2f %8s", f.PerSecond, f.P50Millis, f.P99Millis, cpu)
}
