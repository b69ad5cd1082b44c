package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

// settlementQueue is the only queue.
const settlementQueue = "bank"

type opsQueuesOptions struct {
	app    *app
	output outputFlags
}

func newOpsQueuesCommand(a *app) *cobra.Command {
	opts := &opsQueuesOptions{app: a}
	cmd := &cobra.Command{
		Use:   "queues",
		Short: "Show the settlement queues",
		Example: `  kizo ops queues
  kizo ops queues --watch`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return opsQueuesRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, client.Queue{}, queueColumns...)
	opts.output.addWatch(cmd)
	return cmd
}

var queueColumns = []column{
	{title: "QUEUE"}, {title: "STATE", state: true}, {title: "PENDING", right: true}, {title: "ACTIVE", right: true},
	{title: "SCHEDULED", right: true}, {title: "RETRY", right: true, drop: 3}, {title: "ARCHIVED", right: true, drop: 2},
	{title: "DONE TODAY", right: true, drop: 1}, {title: "LATENCY", right: true},
}

func opsQueuesRun(ctx context.Context, opts *opsQueuesOptions) error {
	kizo, err := opts.app.kizo()
	if err != nil {
		return err
	}
	queues, err := kizo.Queues(ctx)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, q := range queues {
		state := "running"
		if q.Paused {
			state = "paused"
		}
		rows = append(rows, []string{
			q.Name, state, strconv.Itoa(q.Pending), strconv.Itoa(q.Active), strconv.Itoa(q.Scheduled), strconv.Itoa(q.Retry),
			strconv.Itoa(q.Archived), strconv.Itoa(q.ProcessedToday), (time.Duration(q.LatencyMs) * time.Millisecond).String(),
		})
	}
	return opts.app.printList(opts.output, queues, queueColumns, rows)
}

func newOpsQueueCommand(a *app) *cobra.Command {
	return newGroup("queue", "Pause and resume a queue",
		newActCommand(a, "pause QUEUE", "Start no more tasks; the janitor still settles overdue payments", "queue.pause",
			func(ctx context.Context, kizo *client.Client, queue, reason string) error {
				return kizo.PauseQueue(ctx, queue, reason)
			}),
		newActCommand(a, "resume QUEUE", "Start tasks again", "queue.resume",
			func(ctx context.Context, kizo *client.Client, queue, reason string) error {
				return kizo.ResumeQueue(ctx, queue, reason)
			}))
}

func newOpsTasksCommand(a *app) *cobra.Command {
	group := newGroup("tasks", "List tasks, and retry, archive or delete them", newOpsTasksListCommand(a))
	for _, act := range []struct{ action, short string }{ // in this order in each man page
		{"retry", "Run a task now"},
		{"archive", "Archive a task, so that it does not run"},
		{"delete", "Delete a task; its payment is unchanged"},
	} {
		group.AddCommand(newActCommand(a, act.action+" TASK", act.short, "task."+act.action,
			func(ctx context.Context, kizo *client.Client, task, reason string) error {
				return kizo.ActOnTask(ctx, settlementQueue, task, act.action, reason)
			}))
	}
	return group
}

type opsTasksListOptions struct {
	app    *app
	output outputFlags
	state  string
	limit  int32
}

func newOpsTasksListCommand(a *app) *cobra.Command {
	opts := &opsTasksListOptions{app: a}
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List tasks in one state",
		Example: `  kizo ops tasks list --state retry`,
		Args:    takes(""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return opsTasksListRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, client.Task{}, taskColumns...)
	opts.output.addWatch(cmd)
	choices := []string{"pending", "active", "scheduled", "retry", "archived", "completed"}
	addChoice(cmd, &opts.state, "state", choices[0], joinOr(choices), choices)
	cmd.Flags().Int32VarP(&opts.limit, "limit", "n", 20, "maximum number, up to 100")
	return cmd
}

var taskColumns = []column{{title: "TASK", id: true}, {title: "STATE", state: true}, {title: "NEXT"}, {title: "ERROR", cut: true, free: true}}

func opsTasksListRun(ctx context.Context, opts *opsTasksListOptions) error {
	a := opts.app
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	tasks, err := kizo.Tasks(ctx, settlementQueue, client.OpsListTasksParams{State: &opts.state, Limit: &opts.limit})
	if err != nil {
		return err
	}
	var rows [][]string
	for _, t := range tasks {
		rows = append(rows, []string{t.Id, t.State, a.whenever(t.NextProcessAt), text(t.LastError)})
	}
	return a.printList(opts.output, tasks, taskColumns, rows)
}
