package client

import "github.com/JDevAman/kizo/openapi"

// The types of the contract, under the names that callers of this package use. Package openapi
// documents their fields.
type (
	// What the methods of Client take.

	SignUp                = openapi.SignUp
	UserUpdate            = openapi.UserUpdate
	TransferCreate        = openapi.TransferCreate
	TransferBatch         = openapi.TransferBatch
	BatchTransfer         = openapi.BatchTransfer
	TransferBatchResult   = openapi.TransferBatchResult
	BatchResult           = openapi.BatchResult
	PayeeLookup           = openapi.PayeeLookup
	PayeeLookupResult     = openapi.PayeeLookupResult
	PayeeResult           = openapi.PayeeResult
	BankTransferCreate    = openapi.BankTransferCreate
	TriggerArm            = openapi.TriggerArm
	Trigger               = openapi.Trigger
	ListTransfersParams   = openapi.ListTransfersParams
	OpsListPaymentsParams = openapi.OpsListPaymentsParams
	OpsListTasksParams    = openapi.OpsListTasksParams
	APIKeyCreate          = openapi.ApiKeyCreate
	APIKeyRotate          = openapi.ApiKeyRotate
	PasswordChange        = openapi.PasswordChange
	PasswordReset         = openapi.PasswordReset
	EmailChange           = openapi.EmailChange
	HandleChange          = openapi.HandleChange
	AccountClose          = openapi.AccountClose
	OpsUser               = openapi.OpsUser
	Record                = openapi.Record
	RecordList            = openapi.RecordList
	DeviceLogin           = openapi.DeviceLogin
	DeviceRequest         = openapi.DeviceRequest
	Approval              = openapi.Approval
	SecondFactor          = openapi.SecondFactor
	SecondFactorSecret    = openapi.SecondFactorSecret
	StepUpStatus          = openapi.StepUpStatus
	StepUpThreshold       = openapi.StepUpThreshold
	PasswordChanged       = openapi.PasswordChanged
	APIKeyLimit           = openapi.ApiKeyLimit
	LimitSet              = openapi.LimitSet

	// Users and their sessions.

	User              = openapi.User
	UserRole          = openapi.UserRole
	Person            = openapi.Person
	Session           = openapi.Session
	SecurityEvent     = openapi.SecurityEvent
	Notice            = openapi.Notice
	NoticeList        = openapi.NoticeList
	NoticesMarked     = openapi.NoticesMarked
	ListNoticesParams = openapi.ListNoticesParams
	APIKey            = openapi.ApiKey
	APIKeySecret      = openapi.ApiKeySecret
	Limits            = openapi.Limits
	WalletLimit       = openapi.WalletLimit
	NextLimit         = openapi.NextLimit

	// Wallets.

	Wallet         = openapi.Wallet
	WalletStatus   = openapi.WalletStatus
	Balance        = openapi.Balance
	Statement      = openapi.Statement
	StatementTotal = openapi.StatementTotal
	StatementLine  = openapi.StatementLine
	Summary        = openapi.Summary
	WalletSummary  = openapi.WalletSummary
	MonthTotals    = openapi.MonthTotals
	DayBalance     = openapi.DayBalance
	PendingCounts  = openapi.PendingCounts

	// Transfers.

	Transfer          = openapi.Transfer
	ID                = openapi.ID
	TransferKind      = openapi.TransferKind
	TransferState     = openapi.TransferState
	TransferDirection = openapi.TransferDirection
	Party             = openapi.Party
	Tags              = openapi.Tags
	TransferList      = openapi.TransferList
	TransferPreview   = openapi.TransferPreview
	Timeline          = openapi.Timeline
	TimelineEntry     = openapi.TimelineEntry
	TimelineEntryType = openapi.TimelineEntryType
	Actor             = openapi.Actor
	ActorRole         = openapi.ActorRole

	// Operators.

	Payment          = openapi.Payment
	PaymentState     = openapi.PaymentState
	PaymentDirection = openapi.PaymentDirection
	PaymentList      = openapi.PaymentList
	Queue            = openapi.Queue
	Task             = openapi.Task
	Reconciliation   = openapi.Reconciliation
	Discrepancy      = openapi.Discrepancy
	AuditReport      = openapi.AuditReport
	AuditCheck       = openapi.AuditCheck
	Action           = openapi.Action
	OpsSnapshot      = openapi.OpsSnapshot
	QueueSnapshot    = openapi.QueueSnapshot
	WorkersSnapshot  = openapi.WorkersSnapshot
	LatencySnapshot  = openapi.LatencySnapshot
	OpsHistory       = openapi.OpsHistory
	LatencyHistory   = openapi.LatencyHistory
	QueueHistory     = openapi.QueueHistory
	DatabaseSnapshot = openapi.DatabaseSnapshot
	JanitorSnapshot  = openapi.JanitorSnapshot
	AuditSnapshot    = openapi.AuditSnapshot

	// Errors.

	Problem     = openapi.Problem
	ProblemCode = openapi.ProblemCode
)

// Who acts on a transfer, as Actor.Role says.
const (
	ActorRoleBank     = openapi.ActorRoleBank
	ActorRoleKizo     = openapi.ActorRoleKizo
	ActorRoleNone     = openapi.ActorRoleNone
	ActorRoleOperator = openapi.ActorRoleOperator
	ActorRoleUser     = openapi.ActorRoleUser
)

// The directions of a Payment.
const (
	PaymentDeposit    = openapi.PaymentDeposit
	PaymentWithdrawal = openapi.PaymentWithdrawal
)

// The states of a Payment.
const (
	PaymentExecuted    = openapi.PaymentExecuted
	PaymentNeedsReview = openapi.PaymentNeedsReview
	PaymentPending     = openapi.PaymentPending
	PaymentRejected    = openapi.PaymentRejected
	PaymentUnknown     = openapi.PaymentUnknown
)

// The codes of an Error. The contract may gain new ones.
const (
	AccessDenied            = openapi.AccessDenied
	AccountFrozen           = openapi.AccountFrozen
	AccountClosed           = openapi.AccountClosed
	AccountNotEmpty         = openapi.AccountNotEmpty
	AccountSuspended        = openapi.AccountSuspended
	AmountOutOfRange        = openapi.AmountOutOfRange
	AuthorizationExpired    = openapi.AuthorizationExpired
	AuthorizationPending    = openapi.AuthorizationPending
	BalanceLimit            = openapi.BalanceLimit
	BodyMalformed           = openapi.BodyMalformed
	BodyTooLarge            = openapi.BodyTooLarge
	CaptureExceedsHold      = openapi.CaptureExceedsHold
	CurrencyUnknown         = openapi.CurrencyUnknown
	EmailMalformed          = openapi.EmailMalformed
	EmailTaken              = openapi.EmailTaken
	ExpiredToken            = openapi.ExpiredToken
	ExpiryOutOfRange        = openapi.ExpiryOutOfRange
	Forbidden               = openapi.Forbidden
	HandleMalformed         = openapi.HandleMalformed
	HandleReserved          = openapi.HandleReserved
	HandleTaken             = openapi.HandleTaken
	IdempotencyKeyMalformed = openapi.IdempotencyKeyMalformed
	IdempotencyKeyMissing   = openapi.IdempotencyKeyMissing
	IdempotencyKeyReused    = openapi.IdempotencyKeyReused
	InsufficientFunds       = openapi.InsufficientFunds
	Internal                = openapi.Internal
	InvalidCredentials      = openapi.InvalidCredentials
	KeyExpired              = openapi.KeyExpired
	KeyLifeOutOfRange       = openapi.KeyLifeOutOfRange
	KeyNameTaken            = openapi.KeyNameTaken
	KeyNetworkRefused       = openapi.KeyNetworkRefused
	KeyNotFound             = openapi.KeyNotFound
	KeyRevoked              = openapi.KeyRevoked
	LimitExceeded           = openapi.LimitExceeded
	MediaTypeUnsupported    = openapi.MediaTypeUnsupported
	MemoMalformed           = openapi.MemoMalformed
	TagsMalformed           = openapi.TagsMalformed
	MethodNotAllowed        = openapi.MethodNotAllowed
	NoSignedAudit           = openapi.NoSignedAudit
	NotDev                  = openapi.NotDev
	NameMalformed           = openapi.NameMalformed
	NameReserved            = openapi.NameReserved
	NetworkMalformed        = openapi.NetworkMalformed
	OutcomeUnknown          = openapi.OutcomeUnknown
	Overloaded              = openapi.Overloaded
	OwnAccount              = openapi.OwnAccount
	ParameterMalformed      = openapi.ParameterMalformed
	PasswordMalformed       = openapi.PasswordMalformed
	PasswordPersonal        = openapi.PasswordPersonal
	PasswordUnchanged       = openapi.PasswordUnchanged
	ResetCodeInvalid        = openapi.ResetCodeInvalid
	HandleUnchanged         = openapi.HandleUnchanged
	SecondFactorRequired    = openapi.SecondFactorRequired
	ApprovalRequired        = openapi.ApprovalRequired
	ApprovalNotFound        = openapi.ApprovalNotFound
	ApprovalDecided         = openapi.ApprovalDecided
	OwnRequest              = openapi.OwnRequest
	TooManyHandleChanges    = openapi.TooManyHandleChanges
	OTPRequired             = openapi.OtpRequired
	EmailCodeInvalid        = openapi.EmailCodeInvalid
	OTPInvalid              = openapi.OtpInvalid
	StepUpRequired          = openapi.StepUpRequired
	SecondFactorExists      = openapi.SecondFactorExists
	SecondFactorMissing     = openapi.SecondFactorMissing
	PasswordTooCommon       = openapi.PasswordTooCommon
	PasswordTooLong         = openapi.PasswordTooLong
	PasswordTooShort        = openapi.PasswordTooShort
	PayeeClosed             = openapi.PayeeClosed
	PayeeIsSelf             = openapi.PayeeIsSelf
	PayeeNotFound           = openapi.PayeeNotFound
	PayeeRenamed            = openapi.PayeeRenamed
	PayeeWalletMissing      = openapi.PayeeWalletMissing
	PaymentNotFound         = openapi.PaymentNotFound
	PaymentNotInReview      = openapi.PaymentNotInReview
	QueueNotFound           = openapi.QueueNotFound
	QueueUnavailable        = openapi.QueueUnavailable
	RateLimited             = openapi.RateLimited
	ReasonMalformed         = openapi.ReasonMalformed
	RefreshTokenInvalid     = openapi.RefreshTokenInvalid
	RefreshTokenReused      = openapi.RefreshTokenReused
	ReversalExceedsTransfer = openapi.ReversalExceedsTransfer
	BatchRefused            = openapi.BatchRefused
	RouteNotFound           = openapi.RouteNotFound
	ScopeMissing            = openapi.ScopeMissing
	ScopeUnknown            = openapi.ScopeUnknown
	SessionNotFound         = openapi.SessionNotFound
	SessionRequired         = openapi.SessionRequired
	SessionRevoked          = openapi.SessionRevoked
	SignatureInvalid        = openapi.SignatureInvalid
	SlowDown                = openapi.SlowDown
	TaskBusy                = openapi.TaskBusy
	TaskNotFound            = openapi.TaskNotFound
	TimeInFuture            = openapi.TimeInFuture
	TokenExpired            = openapi.TokenExpired
	TokenInvalid            = openapi.TokenInvalid
	TooManyAttempts         = openapi.TooManyAttempts
	TooManyDeviceLogins     = openapi.TooManyDeviceLogins
	TooManyKeys             = openapi.TooManyKeys
	TooManyLookups          = openapi.TooManyLookups
	TooManyStreams          = openapi.TooManyStreams
	TransferNotFound        = openapi.TransferNotFound
	TransferNotPending      = openapi.TransferNotPending
	TransferNotReversible   = openapi.TransferNotReversible
	Unauthenticated         = openapi.Unauthenticated
	Unavailable             = openapi.Unavailable
	UserCodeInvalid         = openapi.UserCodeInvalid
	UserNotFound            = openapi.UserNotFound
	WalletNotFound          = openapi.WalletNotFound
)

// The types of a TimelineEntry.
const (
	EntryAccepted    = openapi.EntryAccepted
	EntryAttempt     = openapi.EntryAttempt
	EntryCaptured    = openapi.EntryCaptured
	EntryCredited    = openapi.EntryCredited
	EntryDebited     = openapi.EntryDebited
	EntryDiscrepancy = openapi.EntryDiscrepancy
	EntryExpired     = openapi.EntryExpired
	EntryHeld        = openapi.EntryHeld
	EntryPayment     = openapi.EntryPayment
	EntryRefused     = openapi.EntryRefused
	EntryReversed    = openapi.EntryReversed
	EntryVoided      = openapi.EntryVoided
)

// The directions of a Transfer, seen from the user's wallets.
const (
	In  = openapi.In
	Out = openapi.Out
)

// The kinds of a Transfer.
const (
	TransferKindAuthorization = openapi.TransferKindAuthorization
	TransferKindDeposit       = openapi.TransferKindDeposit
	TransferKindReversal      = openapi.TransferKindReversal
	TransferKindTransfer      = openapi.TransferKindTransfer
	TransferKindWithdrawal    = openapi.TransferKindWithdrawal
)

// The states of a Transfer.
const (
	Pending = openapi.Pending
	Posted  = openapi.Posted
	Refused = openapi.Refused
	Voided  = openapi.Voided
)

// The roles of a User.
const (
	UserRoleOperator = openapi.UserRoleOperator
	UserRoleUser     = openapi.UserRoleUser
)

// The states of a Wallet.
const (
	Active = openapi.Active
	Frozen = openapi.Frozen
)
