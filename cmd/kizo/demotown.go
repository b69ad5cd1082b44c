package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// resident is a user of the town of kizo demo.
type resident struct {
	handle, name string
	wallets      []opening
}

// opening is a wallet and what its owner first deposits in it, in minor units.
type opening struct {
	currency string
	amount   int64
}

// demoOwner is the user whose wallet kizo demo shows: she owns a bakery.
const demoOwner = "mila"

func townResidents() []resident {
	return []resident{
		{demoOwner, "Mila Novak", []opening{{"EUR", 2_480_00}, {"CHF", 640_00}, {"USD", 120_00}, {"JPY", 58_000}}},
		{"tom", "Tom Berger", []opening{{"EUR", 180_00}}},
		{"ines", "Inês Duarte", []opening{{"EUR", 95_00}}},
		{"landlord", "Harbor Rents", []opening{{"EUR", 0}}},
		{"old_mill", "Old Mill", []opening{{"CHF", 300_00}}},
		{"linden_inn", "Linden Inn", []opening{{"EUR", 3_200_00}}},
		{"school", "Linden School", []opening{{"EUR", 1_900_00}}},
		{"rowing_club", "Linden Rowing Club", []opening{{"EUR", 650_00}}},
		{"web_shop", "Web Shop", []opening{{"USD", 1_100_00}}},
		{"kyoto_tea", "Kyoto Tea", []opening{{"JPY", 0}}},
	}
}

// stepKind is what a resident does in a step.
type stepKind int

const (
	pays       stepKind = iota
	isRefused           // a payment that the wallet cannot cover
	withdraws           // to the bank
	disputes            // withdraws, and every answer of the bank contradicts the instruction
	authorizes          // a payment that the receiver captures or voids
	captures            // the last authorization that the resident received, in part
	voids               // the last authorization that the resident received
	returns             // a part of the last payment that the resident received
)

// townStep is one step of the town's story. Amounts are in minor units.
type townStep struct {
	kind     stepKind
	who, to  string
	amount   int64
	currency string
	memo     string
}

// townDays is the length of the story.
const townDays = 14

// townStory returns what the town does in the fortnight that ends on a day: the same for the same
// seed and day. The ledger dates each transfer when it is posted, so the memos name the days.
func townStory(today time.Time, seed uint64) []townStep {
	random := rand.New(rand.NewPCG(seed, townDays)) //nolint:gosec // a story is no secret
	var steps []townStep
	for ago := townDays - 1; ago >= 0; ago-- {
		day := today.AddDate(0, 0, -ago)
		add := func(kind stepKind, who, to string, amount int64, currency, memo string) {
			if memo != "" {
				memo += ", " + day.Format("Mon 2 Jan")
			}
			steps = append(steps, townStep{kind, who, to, amount, currency, memo})
		}
		dayOfTown(add, random, day.Weekday(), townDays-ago)
	}
	return steps
}

// dayOfTown adds the payments of a day. number counts the days from 1.
func dayOfTown(add func(kind stepKind, who, to string, amount int64, currency, memo string), random *rand.Rand, weekday time.Weekday, number int) {
	between := func(low, high int64) int64 { return low + random.Int64N(high-low+1) }
	if weekday != time.Sunday {
		add(pays, "linden_inn", demoOwner, between(320, 560)*10, "EUR", "bread and rolls")
	}
	if weekday >= time.Monday && weekday <= time.Friday {
		rolls := between(30, 48)
		add(pays, "school", demoOwner, rolls*46, "EUR", fmt.Sprintf("%d rolls", rolls))
	}
	customer := []string{"tom", "ines", "rowing_club"}[random.IntN(3)]
	add(pays, customer, demoOwner, between(38, 95)*10, "EUR", []string{"coffee and cake", "rye bread", "croissants"}[random.IntN(3)])
	if random.IntN(2) == 0 {
		add(pays, "web_shop", demoOwner, between(18, 44)*100+50, "USD", fmt.Sprintf("panettone, order %d", 1040+number))
	}
	switch weekday {
	case time.Wednesday:
		add(pays, demoOwner, "old_mill", between(820, 990)*10, "CHF", "flour, 60 kg")
	case time.Friday:
		add(pays, demoOwner, "tom", 310_00, "EUR", "wages")
		add(pays, demoOwner, "ines", 265_00, "EUR", "wages")
	case time.Saturday:
		add(pays, "rowing_club", demoOwner, between(48, 66)*100, "EUR", "cake for the regatta")
		add(pays, "tom", "ines", between(6, 14)*100, "EUR", "cinema tickets")
	}
	switch number {
	case 1:
		add(pays, demoOwner, "landlord", 780_00, "EUR", "rent")
	case 3:
		add(pays, demoOwner, "rowing_club", 25_00, "EUR", "club dues")
	case 4:
		add(pays, demoOwner, "kyoto_tea", 12_800, "JPY", "matcha, 2 kg")
	case 6:
		add(authorizes, "linden_inn", demoOwner, 180_00, "EUR", "wedding cake")
		add(captures, demoOwner, "", 164_50, "EUR", "")
	case 8:
		add(isRefused, demoOwner, "kyoto_tea", 95_000, "JPY", "matcha, 15 kg")
		add(pays, demoOwner, "kyoto_tea", 25_600, "JPY", "matcha, 4 kg")
	case 9:
		add(withdraws, demoOwner, "", 120_00, "EUR", "to the tax office")
	case 10:
		add(pays, "linden_inn", demoOwner, 61_20, "EUR", "baguettes")
		add(returns, demoOwner, "", 12_40, "EUR", "")
	case 11:
		add(authorizes, "web_shop", demoOwner, 39_00, "USD", "gift box")
		add(voids, demoOwner, "", 0, "USD", "")
	case 12:
		add(disputes, demoOwner, "", 45_00, "EUR", "oven parts")
	case 13:
		add(authorizes, "rowing_club", demoOwner, 90_00, "EUR", "regatta buffet")
	case townDays:
		add(authorizes, demoOwner, "old_mill", 55_00, "CHF", "rye, when it arrives")
	}
}

// townTraffic returns a small payment of an ordinary minute, for a dashboard that is watched.
func townTraffic(random *rand.Rand) townStep {
	between := func(low, high int64) int64 { return low + random.Int64N(high-low+1) }
	switch random.IntN(8) {
	case 0:
		return townStep{pays, "linden_inn", demoOwner, between(40, 160) * 10, "EUR", "bread and rolls"}
	case 1:
		return townStep{pays, "school", demoOwner, between(8, 20) * 46, "EUR", "rolls"}
	case 2:
		return townStep{pays, "tom", demoOwner, between(30, 60) * 10, "EUR", "coffee ☕"}
	case 3:
		return townStep{pays, "web_shop", demoOwner, between(18, 30)*100 + 50, "USD", "panettone"}
	case 4:
		return townStep{pays, demoOwner, "tom", between(20, 50) * 10, "EUR", "milk"}
	case 5:
		return townStep{pays, demoOwner, "ines", between(20, 50) * 10, "EUR", "eggs"}
	case 6:
		return townStep{withdraws, demoOwner, "", between(3, 9) * 100, "EUR", "change for the till"}
	}
	return townStep{withdraws, "linden_inn", "", between(5, 20) * 100, "EUR", "takings"}
}
