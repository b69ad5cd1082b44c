package tui

import (
	"context"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// deviceServer is the part of Server that decides about devices.
type deviceServer interface {
	FindDeviceLogin(ctx context.Context, userCode string) (client.DeviceRequest, error)
	ApproveDeviceLogin(ctx context.Context, d client.DeviceRequest, userCode, otp string) error
	DenyDeviceLogin(ctx context.Context, d client.DeviceRequest, userCode string) error
}

// approveScreen logs in a device that shows a code. The user types the code, sees who asks, and
// approves or denies. Nothing that was typed before the request is shown approves it.
//
//	code ──enter──► the request (and a code of the second factor) ──ctrl-y──► approved
//	                     │ └──ctrl-n──► denied
//	                     └──esc──► nothing
type approveScreen struct {
	code, otp *textField
	device    *client.DeviceRequest // nil while the code is typed
	asked     bool
	problem   string
}

// deviceMsg is the answer to a look-up. screen is the one that asked: an answer that comes later
// must not show its device in another.
type deviceMsg struct {
	screen *approveScreen
	device client.DeviceRequest
	err    error
}

// decidedMsg is the answer to a decision.
type decidedMsg struct {
	screen *approveScreen
	done   string
	err    error
}

func newApproveScreen() *approveScreen {
	s := &approveScreen{code: newTextField(16), otp: newTextField(32)}
	s.otp.secret = true
	return s
}

func (s *approveScreen) typing() bool { return true }

// field returns the field that is typed into, or nil if there is none.
func (s *approveScreen) field() *textField {
	switch {
	case s.device == nil:
		return s.code
	case s.device.OtpRequired:
		return s.otp
	}
	return nil
}

func (s *approveScreen) keys(*shared) []binding {
	keys := []binding{{keys: []string{"esc"}, shown: "esc", help: "close", run: func(m *shared) tea.Cmd { m.close(); return nil }}}
	if s.device == nil {
		keys = append(keys, binding{keys: []string{"enter"}, shown: "enter", help: "show the device", command: "kizo approve CODE", run: s.find})
	} else {
		keys = append(keys,
			binding{keys: []string{"ctrl+y"}, shown: "ctrl-y", help: "approve", command: "kizo approve CODE", run: s.decide(true)},
			binding{keys: []string{"ctrl+n"}, shown: "ctrl-n", help: "deny", command: "kizo deny CODE", run: s.decide(false)})
	}
	if field := s.field(); field != nil {
		keys = append(keys, field.keys(nil)...)
	}
	return keys
}

func (s *approveScreen) find(m *shared) tea.Cmd {
	if s.asked || strings.TrimSpace(s.code.text()) == "" {
		return nil
	}
	s.asked, s.problem = true, ""
	server, code := m.server, s.code.text()
	return m.ask(func(ctx context.Context) tea.Msg {
		device, err := server.FindDeviceLogin(ctx, code)
		return deviceMsg{s, device, err}
	})
}

func (s *approveScreen) decide(approve bool) func(*shared) tea.Cmd {
	return func(m *shared) tea.Cmd {
		switch {
		case s.asked:
			return nil
		case m.readonly != "":
			s.problem = m.errReadonly().Error()
			return nil
		case approve && s.device.OtpRequired && s.otp.text() == "":
			s.problem = "type a code of your authenticator app, or a recovery code"
			return nil
		}
		s.asked, s.problem = true, ""
		server, device, code, otp := m.server, *s.device, s.code.text(), s.otp.text()
		return m.ask(func(ctx context.Context) tea.Msg {
			if approve {
				return decidedMsg{s, "Approved. The device has a session of its own.", server.ApproveDeviceLogin(ctx, device, code, otp)}
			}
			return decidedMsg{s, "Denied. The device is not logged in.", server.DenyDeviceLogin(ctx, device, code)}
		})
	}
}

func (s *approveScreen) update(m *shared, msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.KeyMsg:
		if field := s.field(); field != nil && !s.asked && field.take(msg) {
			s.problem = ""
		}
	case deviceMsg:
		if msg.screen != s {
			return nil
		}
		s.asked = false
		if msg.err != nil {
			s.problem = msg.err.Error()
			return nil
		}
		s.device = &msg.device
	case decidedMsg:
		if msg.screen != s {
			return nil
		}
		s.asked = false
		s.otp.set("")
		if msg.err != nil {
			s.problem = msg.err.Error()
			return nil
		}
		m.close()
		m.showToast(msg.done)
	}
	return nil
}

func (s *approveScreen) view(m *shared, width, height int) string {
	wide := min(width, 76)
	inner, _ := draw.Inner(wide, 2)
	var body []string
	add := func(paint func(...string) string, text string) {
		for _, line := range draw.Wrap(text, inner) {
			body = append(body, paint(draw.Fit(line, inner)))
		}
	}
	if s.device == nil {
		add(m.Dim.Render, "Type the code that your device shows.")
		body = append(body, "", m.Accent.Render(draw.Fit("Code", 6))+s.code.draw(m, inner-6, true))
	} else {
		body = append(body, s.request(m, inner, add)...)
	}
	switch {
	case s.asked:
		body = append(body, "", m.Dim.Render(draw.Fit("Asking the server…", inner)))
	case s.problem != "":
		body = append(body, "")
		add(m.Bad.Render, m.glyph("✗ ", "! ")+s.problem)
	}
	return centered(m.box("Log in a device", "", strings.Join(body, "\n"), wide, min(height, len(body)+2)), width, height)
}

// request draws who asks, with a warning. add adds the wrapped text before it.
func (s *approveScreen) request(m *shared, inner int, add func(func(...string) string, string)) []string {
	d := s.device
	add(m.Warn.Render, "If you approve, this device can do all that you can. If a person sent you the code, they want your money: deny it.")
	where, paint := "the same as here", m.Plain.Render
	if !d.SameAddress {
		where, paint = "NOT the same as here", m.Warn.Render
	}
	lines := []string{""}
	for _, pair := range [][2]string{
		{"Address", d.Address + " (" + where + ")"}, {"Client", d.Client}, {"Asked", when(d.RequestedAt, m.now)},
	} {
		lines = append(lines, m.Dim.Render(draw.Fit(pair[0], 9))+paint(draw.Fit(draw.Text(pair[1]), inner-9)))
		paint = m.Plain.Render
	}
	if d.OtpRequired {
		lines = append(lines, "", m.Accent.Render(draw.Fit("App code", 9))+s.otp.draw(m, inner-9, true))
	}
	return append(lines, "", m.Key.Render("ctrl-y")+m.Dim.Render(" approve   ")+m.Key.Render("ctrl-n")+m.Dim.Render(" deny   ")+m.Key.Render("esc")+m.Dim.Render(" close"))
}
