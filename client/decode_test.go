package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"

	kizo "github.com/JDevAman/kizo"
)

// filled gives a value of a type with something in each of its parts.
func filled(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		return v
	case *uuid.UUID:
		*x = uuid.MustParse("0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d")
		return v
	}
	switch t.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		v.Elem().Set(filled(t.Elem()))
	case reflect.Struct:
		for i := range t.NumField() {
			if t.Field(i).IsExported() {
				v.Field(i).Set(filled(t.Field(i).Type))
			}
		}
	case reflect.Slice:
		v.Set(reflect.Append(v, filled(t.Elem())))
	case reflect.String:
		v.SetString("x")
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(1)
	case reflect.Bool:
		v.SetBool(true)
	default:
	}
	return v
}

// sample is an answer of a type with everything in it.
func sample[T any]() string {
	text, err := json.Marshal(filled(reflect.TypeFor[T]()).Interface())
	if err != nil {
		panic(err)
	}
	return string(text)
}

// schema is what these tests read of the contract.
type schema struct {
	Ref        string             `yaml:"$ref"`
	Required   []string           `yaml:"required"`
	Properties map[string]*schema `yaml:"properties"`
	Items      *schema            `yaml:"items"`
	AllOf      []*schema          `yaml:"allOf"`
	Nullable   bool               `yaml:"nullable"`
}

func contractSchemas(t *testing.T) map[string]*schema {
	t.Helper()
	var contract struct {
		Components struct {
			Schemas map[string]*schema `yaml:"schemas"`
		} `yaml:"components"`
	}
	if err := yaml.Unmarshal(kizo.Contract, &contract); err != nil {
		t.Fatal(err)
	}
	return contract.Components.Schemas
}

// answerTypes are all that a server answers with, by the name of their schema.
var answerTypes = map[string]reflect.Type{
	"User": reflect.TypeFor[User](), "Tokens": reflect.TypeFor[Tokens](), "SessionList": reflect.TypeFor[SessionList](),
	"PersonList": reflect.TypeFor[PersonList](), "WalletList": reflect.TypeFor[WalletList](), "Wallet": reflect.TypeFor[Wallet](),
	"Balance": reflect.TypeFor[Balance](), "Transfer": reflect.TypeFor[Transfer](), "TransferList": reflect.TypeFor[TransferList](),
	"TransferPreview": reflect.TypeFor[TransferPreview](), "Summary": reflect.TypeFor[Summary](), "QueueList": reflect.TypeFor[QueueList](),
	"TaskList": reflect.TypeFor[TaskList](), "PaymentList": reflect.TypeFor[PaymentList](), "Payment": reflect.TypeFor[Payment](),
	"Reconciliation": reflect.TypeFor[Reconciliation](), "AuditReport": reflect.TypeFor[AuditReport](), "ActionList": reflect.TypeFor[ActionList](),
	"Timeline": reflect.TypeFor[Timeline](), "TransferEvent": reflect.TypeFor[TransferEvent](), "OpsSnapshot": reflect.TypeFor[OpsSnapshot](),
	"SecurityEventList": reflect.TypeFor[SecurityEventList](),
}

// TestRequiredFieldsOfAnswers removes each field of each answer, and replaces it by null: what the contract requires
// must be there, and nothing else.
func TestRequiredFieldsOfAnswers(t *testing.T) {
	schemas := contractSchemas(t)
	for name, answer := range answerTypes {
		text, err := json.Marshal(filled(answer).Interface())
		if err != nil {
			t.Fatal(err)
		}
		read := func(document []byte) error { return decode(document, reflect.New(answer).Interface()) }
		if err := read(text); err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
		for _, nothing := range []string{"null", "{}", "[]", `""`, "0", ""} {
			if read([]byte(nothing)) == nil && (nothing != "{}" || len(schemas[name].Required) > 0) {
				t.Errorf("%s: %q passes", name, nothing)
			}
		}
		var whole any
		if err := json.Unmarshal(text, &whole); err != nil {
			t.Fatal(err)
		}
		checked := 0
		variants(schemas, schemas[name], name, whole, func(path string, required, nullable, removed bool) {
			document, _ := json.Marshal(whole)
			err := read(document)
			if wrong := required && (removed || !nullable); (err != nil) != wrong {
				t.Errorf("%s, removed: %v: %v, required: %v, may be null: %v", path, removed, err, required, nullable)
			}
			checked++
		})
		if checked == 0 {
			t.Errorf("%s has no field", name)
		}
	}
}

// variants changes a document in place, one field at a time, and calls try for each change.
func variants(schemas map[string]*schema, s *schema, path string, value any, try func(path string, required, nullable, removed bool)) {
	if s = resolved(schemas, s); s == nil {
		return
	}
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			variants(schemas, s.Items, path+"[]", item, try)
		}
	case map[string]any:
		for key, property := range s.Properties {
			member, present := value[key]
			if !present {
				continue
			}
			required := slices.Contains(s.Required, key)
			nullable := resolved(schemas, property).Nullable || property.Nullable
			delete(value, key)
			try(path+"."+key, required, nullable, true)
			value[key] = nil
			try(path+"."+key, required, nullable, false)
			value[key] = member
			variants(schemas, property, path+"."+key, member, try)
		}
	}
}

func resolved(schemas map[string]*schema, s *schema) *schema {
	if s == nil {
		return nil
	}
	if len(s.AllOf) == 1 {
		nullable := s.Nullable
		inner := *resolved(schemas, s.AllOf[0])
		inner.Nullable = inner.Nullable || nullable
		return &inner
	}
	if name, is := strings.CutPrefix(s.Ref, "#/components/schemas/"); is {
		return schemas[name]
	}
	return s
}

// TestOtherServersAreNotBelieved calls each method on a server whose answers have status 200 and say nothing.
func TestOtherServersAreNotBelieved(t *testing.T) {
	id := uuid.New()
	calls := map[string]func(context.Context, *Kizo) error{
		"SignUp":        func(ctx context.Context, k *Kizo) error { _, err := k.SignUp(ctx, SignUp{}); return err },
		"LogIn":         func(ctx context.Context, k *Kizo) error { _, err := k.LogIn(ctx, "ada", "x"); return err },
		"LogOut":        func(ctx context.Context, k *Kizo) error { return k.LogOut(ctx) },
		"Me":            func(ctx context.Context, k *Kizo) error { _, err := k.Me(ctx); return err },
		"Rename":        func(ctx context.Context, k *Kizo) error { _, err := k.Rename(ctx, "Ada"); return err },
		"UpdateProfile": func(ctx context.Context, k *Kizo) error { _, err := k.UpdateProfile(ctx, UserUpdate{}); return err },
		"Sessions":      func(ctx context.Context, k *Kizo) error { _, err := k.Sessions(ctx); return err },
		"RevokeSession": func(ctx context.Context, k *Kizo) error { return k.RevokeSession(ctx, id) },
		"People":        func(ctx context.Context, k *Kizo) error { _, err := k.People(ctx, "a"); return err },
		"Send":          func(ctx context.Context, k *Kizo) error { _, err := k.Send(ctx, someTransfer(t)); return err },
		"Events": func(ctx context.Context, k *Kizo) error {
			stream, err := k.Events(ctx, EventOptions{})
			if err == nil {
				stream.Close()
			}
			return err
		},
		"SecurityEvents": func(ctx context.Context, k *Kizo) error {
			_, err := k.SecurityEvents(ctx, 1)
			return err
		},
		"Queues":      func(ctx context.Context, k *Kizo) error { _, err := k.Queues(ctx); return err },
		"PauseQueue":  func(ctx context.Context, k *Kizo) error { return k.PauseQueue(ctx, "bank", "x") },
		"ResumeQueue": func(ctx context.Context, k *Kizo) error { return k.ResumeQueue(ctx, "bank", "x") },
		"Tasks": func(ctx context.Context, k *Kizo) error {
			_, err := k.Tasks(ctx, "bank", OpsListTasksParams{})
			return err
		},
		"ActOnTask": func(ctx context.Context, k *Kizo) error { return k.ActOnTask(ctx, "bank", "t", "retry", "x") },
		"Payments": func(ctx context.Context, k *Kizo) error {
			_, err := k.Payments(ctx, OpsListPaymentsParams{})
			return err
		},
		"Payment": func(ctx context.Context, k *Kizo) error { _, err := k.Payment(ctx, id); return err },
		"ResolvePayment": func(ctx context.Context, k *Kizo) error {
			_, err := k.ResolvePayment(ctx, id, "ask", "x")
			return err
		},
		"Freeze":      func(ctx context.Context, k *Kizo) error { return k.Freeze(ctx, "ada", "x") },
		"Unfreeze":    func(ctx context.Context, k *Kizo) error { return k.Unfreeze(ctx, "ada", "x") },
		"Suspend":     func(ctx context.Context, k *Kizo) error { return k.Suspend(ctx, "ada", "x") },
		"Reinstate":   func(ctx context.Context, k *Kizo) error { return k.Reinstate(ctx, "ada", "x") },
		"EndSessions": func(ctx context.Context, k *Kizo) error { return k.EndSessions(ctx, "ada", "x") },
		"Reconcile":   func(ctx context.Context, k *Kizo) error { _, err := k.Reconcile(ctx); return err },
		"Audit":       func(ctx context.Context, k *Kizo) error { _, err := k.Audit(ctx); return err },
		"Actions":     func(ctx context.Context, k *Kizo) error { _, err := k.Actions(ctx, 1); return err },
		"Explain":     func(ctx context.Context, k *Kizo) error { _, err := k.Explain(ctx, id); return err },
		"Wallets":     func(ctx context.Context, k *Kizo) error { _, err := k.Wallets(ctx); return err },
		"OpenWallet":  func(ctx context.Context, k *Kizo) error { _, err := k.OpenWallet(ctx, "USD"); return err },
		"Balance":     func(ctx context.Context, k *Kizo) error { _, err := k.Balance(ctx, "USD", time.Time{}); return err },
		"Transfers": func(ctx context.Context, k *Kizo) error {
			_, err := k.Transfers(ctx, ListTransfersParams{})
			return err
		},
		"Transfer": func(ctx context.Context, k *Kizo) error { _, err := k.Transfer(ctx, id); return err },
		"Summary":  func(ctx context.Context, k *Kizo) error { _, err := k.Summary(ctx, time.Now()); return err },
		"Preview":  func(ctx context.Context, k *Kizo) error { _, err := k.Preview(ctx, TransferCreate{}); return err },
	}
	local := []string{"Forget", "Server"} // these ask no server
	methods := reflect.TypeFor[*Kizo]()
	for i := range methods.NumMethod() {
		if name := methods.Method(i).Name; calls[name] == nil && !slices.Contains(local, name) {
			t.Errorf("%s has no row", name)
		}
	}
	for _, body := range []string{"{}", "null", "[]", "", "<html>Maintenance</html>", `{"items":null}`, `{"items":[{}]}`} {
		s := newRemote(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
		for name, call := range calls {
			tokens := MemoryTokens()
			_ = tokens.Update(t.Context(), func(Credentials) (Credentials, error) { return Credentials{AccessToken: "a"}, nil })
			k, _ := dial(t, s.URL, tokens)
			err := call(t.Context(), k)
			if err == nil || !strings.Contains(err.Error(), "does not answer like a Kizo server") {
				t.Errorf("%s, answered with %s: %v", name, body, err)
			}
			var unknown *UnknownOutcome
			if isMoney := name == "Send"; errors.As(err, &unknown) != isMoney {
				t.Errorf("%s: %v", name, err)
			}
			if held, _ := tokens.Load(t.Context()); held.AccessToken != "a" {
				t.Errorf("%s, answered with %s, changed the session: %+v", name, body, held)
			}
		}
	}
}

// TestAMalformedEventEndsTheStream for good: a new stream would bring it again.
func TestAMalformedEventEndsTheStream(t *testing.T) {
	for _, data := range []string{"{}", "null", `{"at":"2026-03-01T12:00:00Z","state":"posted","transfer":{}}`} {
		s := newRemote(t, streaming("waits", "id: a", "event: transfer", "data: "+data, "", ""))
		stream, err := openEvents(t, s.URL, StaticToken("x"), EventOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = stream.Next()
		var unreached *Unreachable
		if err == nil || errors.As(err, &unreached) || !strings.Contains(err.Error(), "does not answer like a Kizo server") {
			t.Errorf("%s: %v", data, err)
		}
	}
}
