package main

import (
	"strings"

	"github.com/spf13/cobra"
)

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "kizo",
		Short: "A wallet in your terminal",
		Long: `Kizo is a wallet in your terminal.

On a terminal, kizo alone opens the dashboard: balances, transfers and queues, live.
Begin with an account and some money.`,
		Example: `  kizo signup --email ada@example.com --handle ada --name "Ada Lovelace"
  kizo deposit 100
  kizo transfer @bob 12.50 -m lunch`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !a.hasScreen() {
				return cmd.Help()
			}
			if a.accessible() {
				return statusRun(cmd.Context(), &statusOptions{app: a, watch: true})
			}
			return dashboardRun(cmd.Context(), &dashboardOptions{app: a})
		},
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       versionLine(),
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(a.flagError)
	flags := root.PersistentFlags()
	flags.StringVar(&a.serverFlag, "server", "", "address of the server (KIZO_SERVER; "+defaultServer+" by default)")
	flags.StringVar(&a.caFileFlag, "ca-file", "", "also trust the certificates in this file (KIZO_CA_FILE)")
	flags.BoolVar(&a.insecureFlag, "insecure-http", false, "send passwords and tokens unencrypted to another computer (KIZO_INSECURE_HTTP)")
	flags.StringVar(&a.configFlag, "config", "", "read only this configuration file (KIZO_CONFIG)")
	flags.StringVar(&a.contextFlag, "context", "", "act in this context (KIZO_CONTEXT; kizo help contexts)")
	flags.StringVar(&a.confirmFlag, "confirm-context", "", "confirm that money moves in the protected context of this name")
	for _, name := range []string{"context", "confirm-context"} {
		_ = root.RegisterFlagCompletionFunc(name, a.completeContext)
	}
	flags.StringVar(&a.storeFlag, "credential-store", "", "where sessions are kept: "+joinOr(credentialStores)+" (KIZO_CREDENTIAL_STORE; kizo help credentials)")
	_ = root.RegisterFlagCompletionFunc("credential-store", cobra.FixedCompletions(credentialStores, cobra.ShellCompDirectiveNoFileComp))
	flags.BoolVar(&a.keyStdinFlag, "api-key-stdin", false, "read an API key from the first line of stdin (KIZO_API_KEY, KIZO_API_KEY_FILE)")
	a.color = "auto"
	flags.Var(&choiceFlag{&a.color, []string{"auto", "always", "never"}}, "color", "color states in tables: auto (on a terminal, unless NO_COLOR is set), always or never")
	_ = root.RegisterFlagCompletionFunc("color", completeWord([]string{"auto", "always", "never"}))
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "print more on stderr, such as idempotency keys")

	root.AddGroup(
		&cobra.Group{ID: "money", Title: "Money:"},
		&cobra.Group{ID: "you", Title: "You:"},
		&cobra.Group{ID: "kizo", Title: "Kizo:"},
	)
	root.SetCompletionCommandGroupID("kizo")
	add := func(group string, commands ...*cobra.Command) {
		for _, command := range commands {
			command.GroupID = group
			root.AddCommand(command)
		}
	}
	add("money",
		newBalanceCommand(a),
		newTransferCommand(a),
		newPayCommand(a),
		newDepositCommand(a),
		newWithdrawCommand(a),
		newTransfersCommand(a),
		newStatementCommand(a),
		newEventsCommand(a),
		newListenCommand(a),
		newExportCommand(a),
		newSyncCommand(a),
		newWalletCommand(a),
		newPayeesCommand(a),
		newPendingCommand(a),
		newRetryCommand(a),
		newExplainCommand(a),
	)
	add("you",
		newSignupCommand(a),
		newLoginCommand(a),
		newLogoutCommand(a),
		newWhoamiCommand(a),
		newProfileCommand(a),
		newHandleCommand(a),
		newAccountCommand(a),
		newPasswordCommand(a),
		newEmailCommand(a),
		newSecondFactorCommand(a),
		newStepUpCommand(a),
		newSessionsCommand(a),
		newApproveCommand(a),
		newDenyCommand(a),
		newKeysCommand(a),
		newLimitsCommand(a),
		newNoticesCommand(a),
		newFreezeMeCommand(a),
		newUnfreezeMeCommand(a),
		newContextCommand(a),
		newAuthCommand(a),
	)
	add("kizo",
		newDashboardCommand(a),
		newStatusCommand(a),
		newConfigCommand(a),
		newVersionCommand(a),
		newOpsCommand(a),
		newAPICommand(a),
		newCommandsCommand(a),
		newDoctorCommand(a),
		newMCPCommand(a),
		newAliasCommand(a),
		newPluginsCommand(a),
		newTriggerCommand(a),
		newDevCommand(a),
		newDemoCommand(a),
	)
	root.AddCommand(newManCommand(a))
	root.AddCommand(helpTopics(a.outputs)...)
	root.SetIn(a.io.In)
	root.SetOut(a.io.Out)
	root.SetErr(a.io.Err)
	root.SetHelpCommand(newHelpCommand())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd() // it keeps the output that is set at this point
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		asGroup(completion)
		for _, shell := range completion.Commands() {
			shell.Example = completionExamples[shell.Name()]
		}
	}
	a.checkOrder(root)
	a.completeAll(root)
	refuseEmpty(root)
	return root
}

// completionExamples are for the commands that cobra adds. Their Long says how to keep the result.
var completionExamples = map[string]string{
	"bash":       "  source <(kizo completion bash)",
	"zsh":        "  source <(kizo completion zsh)",
	"fish":       "  kizo completion fish | source",
	"powershell": "  kizo completion powershell | Out-String | Invoke-Expression",
}

// newGroup returns a command that only contains others.
func newGroup(use, short string, commands ...*cobra.Command) *cobra.Command {
	group := &cobra.Command{
		Use:   use,
		Short: short,
	}
	group.AddCommand(commands...)
	asGroup(group)
	return group
}

// groupAnnotation marks the commands that only contain others.
const groupAnnotation = "group"

func isGroup(cmd *cobra.Command) bool {
	_, marked := cmd.Annotations[groupAnnotation]
	return marked
}

// asGroup makes a command refuse to run without a subcommand.
func asGroup(group *cobra.Command) {
	group.Annotations = map[string]string{groupAnnotation: ""}
	group.Args = noSuchCommand
	group.RunE = func(cmd *cobra.Command, _ []string) error {
		return withHint(usagef("%s needs the name of a command", cmd.CommandPath()), cmd.CommandPath()+" --help")
	}
}

// noSuchCommand is for commands that contain others: every argument is a mistyped command.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := usagef("%s has no command %q", cmd.CommandPath(), args[0])
	if near := nearestWord(args[0], commandNames(cmd)); near != "" {
		return withHint(err, cmd.CommandPath()+" "+near)
	}
	return withHint(err, cmd.CommandPath()+" --help")
}

// commandNames returns the names of a command's subcommands and help topics.
func commandNames(cmd *cobra.Command) []string {
	var names []string
	for _, below := range cmd.Commands() {
		if !below.Hidden {
			names = append(names, below.Name())
		}
	}
	return names
}

// takes checks the number of arguments. names is such as "ID [AMOUNT]"; errors quote it.
func takes(names string) cobra.PositionalArgs {
	maxArgs := len(strings.Fields(names))
	minArgs := maxArgs - strings.Count(names, "[")
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= minArgs && len(args) <= maxArgs {
			return nil
		}
		hint := strings.TrimSpace(cmd.CommandPath() + " " + names)
		switch {
		case maxArgs == 0:
			return withHint(usagef("%s takes no arguments, not %q", cmd.CommandPath(), args[0]), hint)
		case len(args) > maxArgs:
			return withHint(usagef("%q is one argument too many for %s", args[maxArgs], cmd.CommandPath()), hint)
		}
		return withHint(usagef("%s needs %s", cmd.CommandPath(), strings.Fields(names)[len(args)]), hint)
	}
}

// commandName returns the command without its arguments.
func (a *app) commandName() string {
	if a.root == nil {
		return "kizo"
	}
	cmd, _, err := a.root.Find(a.args)
	if err != nil {
		return a.root.Name()
	}
	return cmd.CommandPath()
}

// commandLine returns the command line as it was typed.
func (a *app) commandLine() string {
	line := []string{"kizo"}
	for _, arg := range a.args {
		line = append(line, shellQuote(arg))
	}
	return strings.Join(line, " ")
}
