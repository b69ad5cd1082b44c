package settle

import (
	"context"

	"github.com/JDevAman/kizo/server/bank"
)

// silentBank is a bank that never answers.
type silentBank struct{ bank.Bank }

func (silentBank) Submit(ctx context.Context, in bank.Instruction) (bank.Answer, error) {
	<-ctx.Done()
	return bank.Answer{}, &bank.Error{Code: bank.CodeTimeout, Op: "submit", Ref: in.Ref, Err: ctx.Err()}
}

func (d silentBank) Status(ctx context.Context, in bank.Instruction) (bank.Answer, error) {
	return d.Submit(ctx, in)
}

// signalingBank is a silentBank that signals each request.
type signalingBank struct{ asked chan<- struct{} }

func (w signalingBank) Submit(ctx context.Context, in bank.Instruction) (bank.Answer, error) {
	w.asked <- struct{}{}
	return silentBank{}.Submit(ctx, in)
}

func (w signalingBank) Status(ctx context.Context, in bank.Instruction) (bank.Answer, error) {
	return w.Submit(ctx, in)
}

func (signalingBank) Statement(context.Context, int64, int) (bank.StatementPage, error) {
	return bank.StatementPage{}, nil
}
