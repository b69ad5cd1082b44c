package tui

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

// deviceRecord records the decisions about a device.
type deviceRecord struct {
	wholeServer
	device client.DeviceRequest
	did    []string
}

func (r *deviceRecord) FindDeviceLogin(_ context.Context, code string) (client.DeviceRequest, error) {
	r.did = append(r.did, "find "+code)
	return r.device, nil
}

func (r *deviceRecord) ApproveDeviceLogin(_ context.Context, d client.DeviceRequest, code, otp string) error {
	r.did = append(r.did, strings.TrimSpace("approve "+d.Id.String()[:4]+" "+code+" "+otp))
	return nil
}

func (r *deviceRecord) DenyDeviceLogin(_ context.Context, d client.DeviceRequest, code string) error {
	r.did = append(r.did, "deny "+d.Id.String()[:4]+" "+code)
	return nil
}

// TestADeviceIsApproved: only ctrl-y approves, after the device was shown, with a code of the
// second factor if the user has one, and not if the dashboard is read-only.
func TestADeviceIsApproved(t *testing.T) {
	const id = "0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d"
	for _, test := range []struct {
		name     string
		otp      bool
		readonly string
		keys     []string
		want     string
	}{
		{"approved", false, "", []string{"a", "b", "enter", "ctrl+y"}, "find ab; approve 0197 ab"},
		{"denied", false, "", []string{"a", "enter", "ctrl+n"}, "find a; deny 0197 a"},
		{"letters and enter approve nothing", false, "", []string{"a", "enter", "y", "enter", "enter", "esc"}, "find a"},
		{"no code, no look-up", false, "", []string{"enter", "ctrl+y"}, ""},
		{"not before it is shown", false, "", []string{"a", "ctrl+y"}, ""},
		{"without the second factor", true, "", []string{"a", "enter", "ctrl+y"}, "find a"},
		{"with the second factor", true, "", []string{"a", "enter", "1", "2", "ctrl+y"}, "find a; approve 0197 a 12"},
		{"read-only", false, "it is", []string{"a", "enter", "ctrl+y", "ctrl+n"}, "find a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, s := operatorModel(t), newApproveScreen()
			record := &deviceRecord{device: client.DeviceRequest{Id: uuid.MustParse(id), OtpRequired: test.otp}}
			m.server, m.readonly = record, test.readonly
			for _, key := range test.keys {
				if asked := press(m, s, key); asked != nil {
					s.update(m, asked())
				}
			}
			testkit.Equal(t, "did", strings.Join(record.did, "; "), test.want)
		})
	}
}

// TestADeviceIsShown draws the request of a device at another address, whose client has a hostile
// name.
func TestADeviceIsShown(t *testing.T) {
	m, s := operatorModel(t), newApproveScreen()
	s.update(m, deviceMsg{s, client.DeviceRequest{
		Client: "Kizo support \x1b[2J", Address: "203.0.113.9", RequestedAt: noon.Add(-time.Minute), OtpRequired: true,
	}, nil})
	golden(t, "device", s.view(m, 80, 24))
	other := newApproveScreen()
	other.update(m, deviceMsg{s, client.DeviceRequest{}, nil}) // an answer to an earlier look-up
	if other.device != nil {
		t.Error("the device of another look-up is shown")
	}
}
