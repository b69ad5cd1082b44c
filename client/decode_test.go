package client

import (
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

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
)

// filled returns a value of a type whose fields are all set.
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

// sample returns an answer of a type with all fields.
func sample[T any]() string {
	text, err := json.Marshal(filled(reflect.TypeFor[T]()).Interface())
	if err != nil {
		panic(err)
	}
	return string(text)
}

// schema is the part of a schema of the contract that these tests read.
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
	testkit.Must(t, yaml.Unmarshal(kizo.Contract, &contract))
	return contract.Components.Schemas
}

// answerTypes are the types of all answers of a server, by the name of their schema.
var answerTypes = map[string]reflect.Type{
	"User": reflect.TypeFor[User](), "Tokens": reflect.TypeFor[openapi.Tokens](), "SessionList": reflect.TypeFor[openapi.SessionList](),
	"PersonList": reflect.TypeFor[openapi.PersonList](), "WalletList": reflect.TypeFor[openapi.WalletList](), "Wallet": reflect.TypeFor[Wallet](),
	"Balance": reflect.TypeFor[Balance](), "Transfer": reflect.TypeFor[Transfer](), "TransferList": reflect.TypeFor[TransferList](),
	"TransferPreview": reflect.TypeFor[TransferPreview](), "Summary": reflect.TypeFor[Summary](), "QueueList": reflect.TypeFor[openapi.QueueList](),
	"TaskList": reflect.TypeFor[openapi.TaskList](), "PaymentList": reflect.TypeFor[PaymentList](), "Payment": reflect.TypeFor[Payment](),
	"Reconciliation": reflect.TypeFor[Reconciliation](), "AuditReport": reflect.TypeFor[AuditReport](), "ActionList": reflect.TypeFor[openapi.ActionList](),
	"Timeline": reflect.TypeFor[Timeline](), "TransferEvent": reflect.TypeFor[openapi.TransferEvent](), "OpsSnapshot": reflect.TypeFor[OpsSnapshot](),
	"ApiKeyList": reflect.TypeFor[openapi.ApiKeyList](), "ApiKeySecret": reflect.TypeFor[APIKeySecret](),
	"TriggerList": reflect.TypeFor[openapi.TriggerList](),
	"Statement":   reflect.TypeFor[Statement](), "SecurityEventList": reflect.TypeFor[openapi.SecurityEventList](),
	"Limits": reflect.TypeFor[Limits](), "WalletLimit": reflect.TypeFor[WalletLimit](),
}

// TestRequiredFieldsOfAnswers removes each field of each answer, and replaces it by null. An error
// is expected exactly where the contract requires the field.
func TestRequiredFieldsOfAnswers(t *testing.T) {
	schemas := contractSchemas(t)
	for name, answer := range answerTypes {
		text, err := json.Marshal(filled(answer).Interface())
		testkit.Must(t, err)
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
		testkit.Must(t, json.Unmarshal(text, &whole))
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

// TestAnswersOfOtherServersAreProtocolErrors calls each method on a server whose answers have
// status 200 and are not those of the contract.
func TestAnswersOfOtherServersAreProtocolErrors(t *testing.T) {
	calls := everyCall(t)
	local := []string{"Forget", "Server"} // these send no request
	methods := reflect.TypeFor[*Client]()
	for i := range methods.NumMethod() {
		if name := methods.Method(i).Name; calls[name] == nil && !slices.Contains(local, name) {
			t.Errorf("%s has no row", name)
		}
	}
	for _, body := range []string{"{}", "null", "[]", "", "<html>Maintenance</html>", `{"items":null}`, `{"items":[{}]}`} {
		s := newRemote(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
		for name, call := range calls {
			if name == "Do" && json.Valid([]byte(body)) { // it leaves the answer to its caller
				continue
			}
			tokens := new(memoryTokens)
			_ = tokens.Update(t.Context(), func(Credentials) (Credentials, error) { return Credentials{AccessToken: "a"}, nil })
			k, _ := dial(t, s.URL, tokens)
			err := call(t.Context(), k)
			if err == nil || !strings.Contains(err.Error(), "does not answer like a Kizo server") {
				t.Errorf("%s, answered with %s: %v", name, body, err)
			}
			var unknown *UnknownOutcomeError
			if isMoney := name == "Send" || name == "SendBatch"; errors.As(err, &unknown) != isMoney {
				t.Errorf("%s: %v", name, err)
			}
			if held, _ := tokens.Load(t.Context()); held.AccessToken != "a" {
				t.Errorf("%s, answered with %s, changed the session: %+v", name, body, held)
			}
		}
	}
}

// TestAMalformedEventEndsTheStream permanently: a new stream would receive the event again.
func TestAMalformedEventEndsTheStream(t *testing.T) {
	for _, data := range []string{"{}", "null", `{"at":"2026-03-01T12:00:00Z","state":"posted","transfer":{}}`} {
		s := newRemote(t, streaming("waits", "id: a", "event: transfer", "data: "+data, "", ""))
		stream, err := openEvents(t, s.URL, StaticToken("x"), EventOptions{})
		testkit.Must(t, err)
		_, err = stream.Next()
		if _, ok := errors.AsType[*UnreachableError](err); err == nil || ok || !strings.Contains(err.Error(), "does not answer like a Kizo server") {
			t.Errorf("%s: %v", data, err)
		}
	}
}

// FuzzComplete checks that every valid document is read to its end, whatever it contains.
func FuzzComplete(f *testing.F) {
	f.Add(sample[TransferBatchResult]())
	f.Add(`{ "results" : [ {"status":1,"replayed":false, "x":[{"]":"\\"}],"tr\u0061nsfer":null} , null ] , "":{} }`)
	f.Fuzz(func(t *testing.T, text string) {
		if !json.Valid([]byte(text)) {
			return
		}
		kind := reflect.TypeFor[TransferBatchResult]()
		scan := scanner{text: []byte(text)}
		if lack := scan.check(kind); lack == nil && scan.next() != 0 {
			t.Errorf("the document is read up to %d of %d bytes: %s", scan.at, len(text), text)
		}
		scan = scanner{text: []byte(text)}
		if scan.skip(); scan.next() != 0 {
			t.Errorf("a value ends at %d of %d bytes: %s", scan.at, len(text), text)
		}
	})
}
