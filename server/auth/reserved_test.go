package auth

import (
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
)

func TestReservedHandles(t *testing.T) {
	t.Parallel()
	for handle := range strings.FieldsSeq(`admin support kizo kizod bank root security help staff operator system administrator moderator helpdesk
		adm1n supp0rt k1zo klzo b4nk r00t secur1ty he1p 5taff 0perator adrnin adm_in k_i_z_o kizoo supporrt kiizo
		admin1 admin_1 admin2026 support_team kizo_support kizosupport the_kizo kizo_dave bob_support official_bank help_desk thebank
		customer_service customerservice security_team bank_account x_kizo_x noreply n0reply ops me api mod postmaster`) {
		if !reservedHandle(handle) {
			t.Errorf("@%s is not reserved", handle)
		}
	}
	for handle := range strings.FieldsSeq(`alice bob ada grace_hopper kizomba kizomba_fan helper staffan banks bankster rooty roots systematic
		operatic al meme mel worker7b newsome rot user user42 load_000123 secure helga adminah supportive_bob merchant modena bot fred99
		olga anna_m info7x`) {
		if reservedHandle(handle) {
			t.Errorf("@%s is reserved", handle)
		}
	}
}

func TestReservedNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"Kizo", "Kizo Support", "kizo support", "KIZO", "Kizo™", "Kizó", "K i z o", "K.I.Z.O", "Kizo ✅", "KizoSupport", "Bob from Kizo", "kizo.dev",
		"Кizо", "Кіzо Ѕuрроrt", "кизо", "Ｋｉｚｏ", "𝓚𝓲𝔃𝓸", "Ⓚⓘⓩⓞ", "🅺🅸🆉🅾", "🇰🇮🇿🇴", "K1zo", "K!z0", "Ki\u0301zo", "ᴋɪᴢᴏ", "Kι𝕫ο",
		"Support", "Supp0rt", "SUPPORT TEAM", "Customer Support", "Ѕupport", "Admin", "Αdmin", "Adrnin", "@dmin", "The Admin", "Bob (Support)",
		"Bank", "The Bank", "Official Bank", "Security", "Security Team", "Staff", "System", "Root", "Operator", "Help Desk", "$upport",
	} {
		if !reservedName(name) {
			t.Errorf("%q is not reserved", name)
		}
	}
	for _, name := range []string{
		"Ada Lovelace", "Melissa Bank", "Amanda Root", "Al Banks", "Kizomba Fan", "Staffan", "Helper Bee", "Kazuo", "山田太郎", "Ольга Банк", "محمد",
		"Name of alice", "Crane Operator Jim", "Ki Zoe", "Supportive Sam", "O'Neill", "José", "Administratrix?", "Kim", "Chaos", "Load 7", "B",
	} {
		if reservedName(name) {
			t.Errorf("%q is reserved", name)
		}
	}
}

// TestReservedIsCheap: the check of the longest name is too fast to be used for an attack.
func TestReservedIsCheap(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	for _, text := range []string{strings.Repeat("m", 80), strings.Repeat("1", 80), strings.Repeat("a ", 40), strings.Repeat("kiz", 26)} {
		for range 20 {
			reservedName(text)
		}
	}
	t.Logf("%v each", time.Since(begin)/80)
}

func TestSignUpAndRenameRefuseReserved(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, _, err := h.SignUp(t.Context(), SignUpInput{Email: "a@example.com", Handle: "supp0rt", Name: "Ann", Password: goodPassword})
	wantCode(t, err, CodeHandleReserved)
	_, _, err = h.SignUp(t.Context(), SignUpInput{Email: "a@example.com", Handle: "ann", Name: "Kizo Support", Password: goodPassword})
	wantCode(t, err, CodeNameReserved)
	_, ann := h.signUp("ann")
	_, err = h.rename(ann.ID, "Кizо Ѕupport")
	wantCode(t, err, CodeNameReserved)
	_, err = h.rename(unknownID, "Kizo Support")
	wantCode(t, err, CodeNameReserved)

	// Staff may use such a name, and other users see their role.
	testkit.Must(t, h.owner().Grant(t.Context(), "ann", RoleOperator, "test"))
	_, err = h.rename(ann.ID, "Kizo Support")
	testkit.Must(t, err)
	ref, err := h.FindUser(t.Context(), "@ann")
	testkit.Must(t, err)
	testkit.Equal(t, "role", ref.Role, RoleOperator)
	found, err := h.SearchUsers(t.Context(), "kizo", 1)
	testkit.Must(t, err)
	testkit.Equal(t, "role in a search", found[0].Role, RoleOperator)
	// A user who loses the role loses the name as well.
	testkit.Must(t, h.owner().Grant(t.Context(), "ann", RoleUser, "test"))
	ann, err = h.Me(t.Context(), ann.ID)
	testkit.Must(t, err)
	testkit.Equal(t, "name", ann.Name, "ann")
}
