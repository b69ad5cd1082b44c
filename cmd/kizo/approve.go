package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
)

type deviceOptions struct {
	app    *app
	output outputFlags
	otp    otpOptions
	yes    bool
	code   string // as the user typed it
}

// decidedDevice is the output of kizo approve and kizo deny.
type decidedDevice struct {
	Approved    bool      `json:"approved"`
	Client      string    `json:"client"`
	Address     string    `json:"address"`
	SameAddress bool      `json:"same_address"`
	RequestedAt time.Time `json:"requested_at"`
}

var deviceColumns = []column{{title: "APPROVED"}, {title: "ADDRESS"}, {title: "REQUESTED"}, {title: "CLIENT", cut: true, free: true}}

func newApproveCommand(a *app) *cobra.Command {
	opts := &deviceOptions{app: a}
	cmd := &cobra.Command{
		Use:   "approve CODE",
		Short: "Log in a device that shows a code",
		Long: `Log in a device that shows a code, after kizo login --device. The device gets a session of its own, as you:
it can do all that you can. kizo shows the address and the client of the device, and asks; without a
terminal, it takes --yes. If you have a second factor, a code of the last five minutes is needed.

Approve only a device that is yours and in front of you. A person who sends you a code, or asks you to type
one, wants your money: kizo deny CODE.`,
		Example: `  kizo approve BCDF-2345
  kizo approve BCDF-2345 --yes --otp-stdin < code.txt`,
		Args: takes("CODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.code = args[0]
			return approveRun(cmd.Context(), opts)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	opts.output.addTo(cmd, a, decidedDevice{}, deviceColumns...)
	opts.otp.addTo(cmd)
	cmd.Flags().BoolVar(&opts.yes, "yes", false, "do not ask for confirmation")
	return cmd
}

func newDenyCommand(a *app) *cobra.Command {
	opts := &deviceOptions{app: a}
	cmd := &cobra.Command{
		Use:     "deny CODE",
		Short:   "Refuse to log in a device that shows a code",
		Example: "  kizo deny BCDF-2345",
		Args:    takes("CODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.code = args[0]
			return denyRun(cmd.Context(), opts)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	opts.output.addTo(cmd, a, decidedDevice{}, deviceColumns...)
	return cmd
}

func approveRun(ctx context.Context, opts *deviceOptions) error {
	a := opts.app
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	device, err := kizo.FindDeviceLogin(ctx, opts.code)
	if err != nil {
		return err
	}
	if err := opts.confirm(ctx, device); err != nil {
		return err
	}
	approve := func(otp string) error { return kizo.ApproveDeviceLogin(ctx, device, opts.code, otp) }
	if device.OtpRequired {
		err = opts.otp.try(ctx, a, approve)
	} else {
		err = opts.otp.with(ctx, a, approve)
	}
	if err != nil {
		return err
	}
	return opts.printDecided(device, true)
}

// confirm shows who asks, and asks the user.
func (opts *deviceOptions) confirm(ctx context.Context, d client.DeviceRequest) error {
	a := opts.app
	where := "the same address as this computer's"
	if !d.SameAddress {
		where = "NOT the address of this computer"
	}
	a.io.note("A device asks to be logged in as you:\n\n  address    %s (%s)\n  client     %s (as it says itself)\n  requested  %s\n",
		printable.Text(d.Address), where, printable.Text(d.Client), a.when(d.RequestedAt))
	if opts.yes {
		return nil
	}
	a.io.note("It can then do all that you can. If a person sent you the code, they want your money: kizo deny %s", printable.Text(opts.code))
	if a.io.ReadLine == nil {
		return withHint(usagef("nothing was approved: there is no terminal to ask"), a.commandLine()+" --yes")
	}
	answer, err := a.io.ReadLine(ctx, "Is this device yours, and in front of you? Type yes: ")
	if err != nil {
		return err
	}
	if !saysYes(answer) {
		return withHint(usagef("nothing was approved"), "kizo deny "+shellQuote(opts.code))
	}
	return nil
}

func denyRun(ctx context.Context, opts *deviceOptions) error {
	kizo, err := opts.app.kizo()
	if err != nil {
		return err
	}
	device, err := kizo.FindDeviceLogin(ctx, opts.code)
	if err != nil {
		return err
	}
	if err := kizo.DenyDeviceLogin(ctx, device, opts.code); err != nil {
		return err
	}
	return opts.printDecided(device, false)
}

func (opts *deviceOptions) printDecided(d client.DeviceRequest, approved bool) error {
	a := opts.app
	decided, done := "no", "Denied. The device is not logged in."
	if approved {
		decided, done = "yes", "Approved. The device has a session of its own: kizo sessions list."
	}
	return a.printDone(opts.output, decidedDevice{approved, d.Client, d.Address, d.SameAddress, d.RequestedAt},
		[]string{decided, d.Address, a.when(d.RequestedAt), d.Client}, func() { a.io.note("%s", done) })
}
