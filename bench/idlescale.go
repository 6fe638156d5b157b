package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// spare is how many files a process needs besides connections.
const spare = 100

// An idleResult is what a server with nothing but idle connections uses.
type idleResult struct {
	contender contender
	n         int
	resident  float64 // bytes of each connection
	least     float64 // the same after all garbage was collected
	cpu       float64 // of a core
}

// measureAll measures a server of each contender of list after another.
func (o idleServer) measureAll(ctx context.Context, list []contender, r *runner) ([]idleResult, error) {
	if !canIdle {
		fmt.Fprintln(r.progress, "a server's memory and processor time are measured on Linux alone")
		return nil, nil
	}
	limit, err := descriptors()
	if err != nil {
		return nil, err
	}
	if most := limit - spare; o.Connections > most {
		fmt.Fprintf(r.progress, "NOT %d idle connections but %d: the hard limit of open files is %d\n", o.Connections, most, limit)
		o.Connections = most
	}
	o.Copies = r.codec.copies
	var results []idleResult
	var errs []error
	for _, c := range list {
		o.Contender = c.String()
		fmt.Fprintf(r.progress, "%d idle connections, %v, for %v\n", o.Connections, c, o.lasts)
		res, err := o.measure(ctx, c, r.pair)
		if err != nil {
			errs = append(errs, fmt.Errorf("idle connections, %v: %w", c, err))
			continue
		}
		results = append(results, res)
	}
	return results, errors.Join(errs...)
}

// measure starts a server, opens connections to it, watches it, and sees whether
// all connections are still good.
func (o *idleServer) measure(ctx context.Context, c contender, pair security) (res idleResult, err error) {
	ctx, cancel := withPatience(ctx, o.lasts+time.Duration(o.Connections)*10*time.Millisecond)
	defer cancel()
	p, err := startChild(ctx, idleServing)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, p.end()) }()
	var at place
	if err := ask(p, o, &at); err != nil {
		return res, err
	}
	s, err := o.clients(pair, at)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, s.endpoint.lis.Close()) }()
	first, err := s.conns(ctx, 1) // what a server needs for one is no part of what each needs
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, first.Close()) }()
	before, _, err := usage(p.cmd.Process.Pid)
	if err != nil {
		return res, err
	}
	all, err := openIdle(ctx, s, o.Connections)
	defer func() { err = errors.Join(err, closeIdle(all)) }()
	if err != nil {
		return res, err
	}
	if res, err = o.watch(p, c, before); err != nil {
		return res, err
	}
	return res, callIdle(ctx, s, all)
}

// watch leaves the server alone and returns what it uses.
func (o *idleServer) watch(p *child, c contender, before float64) (res idleResult, err error) {
	pid := p.cmd.Process.Pid
	time.Sleep(o.lasts / 20) // the last connections' acknowledgements
	begin := time.Now()
	_, worked, err := usage(pid)
	if err != nil {
		return res, err
	}
	time.Sleep(o.lasts)
	resident, cpu, err := usage(pid)
	if err != nil {
		return res, err
	}
	took := time.Since(begin)
	var answer string
	if err := ask(p, "collect", &answer); err != nil {
		return res, err
	}
	least, _, err := usage(pid)
	if err != nil {
		return res, err
	}
	n := float64(o.Connections)
	return idleResult{
		contender: c, n: o.Connections,
		resident: (resident - before) / n, least: (least - before) / n,
		cpu: float64(cpu-worked) / float64(took),
	}, nil
}

// missed returns an error for each bound that the product misses.
func (r *idleResult) missed() error {
	if r.contender.way.name != productName {
		return nil
	}
	var errs []error
	if r.resident > residentBound {
		errs = append(errs, fmt.Errorf("idle connection, %v: %s of memory at the server, the bound is %s",
			r.contender, memory.format(r.resident), memory.format(residentBound)))
	}
	if r.cpu > idleCPUBound {
		errs = append(errs, fmt.Errorf("%d idle connections, %v: %.1f %% of a core, the bound is %.1f %%",
			r.n, r.contender, 100*r.cpu, 100*idleCPUBound))
	}
	return errors.Join(errs...)
}

// write writes the results as a table.
func (o *idleServer) write(w io.Writer, results []idleResult) error {
	if len(results) == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nA server in a process of its own with %d idle connections, for %v; tunnels show life every %v;\n",
		results[0].n, o.lasts, o.Ping)
	b.WriteString("memory is what is in RAM, without that of one connection\n\n")
	lines := [][]string{{"contender", "memory each", "after a collection", "processor"}}
	for i := range results {
		r := &results[i]
		line := []string{r.contender.String(), memory.format(r.resident), memory.format(r.least), fmt.Sprintf("%.2f %%", 100*r.cpu)}
		if r.missed() != nil {
			line[0] = "**" + line[0] + "**"
		}
		lines = append(lines, line)
	}
	writeTable(&b, lines)
	_, err := io.WriteString(w, b.String())
	return err
}
