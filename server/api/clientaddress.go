package api

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// TrustedProxies are the networks of the reverse proxies in front of this server. Only from them is
// X-Forwarded-For accepted.
//
//	client ─► proxy ─► proxy ─► kizod
//	X-Forwarded-For: <what the client sent>, client, proxy
//	                                          ▲ right-most address that is no trusted proxy
//
// Each proxy appends the address that it was connected from, so the list is read from the right,
// and reading stops at the first address that is not a trusted proxy: the client wrote everything
// to the left of it. The fields Forwarded and X-Real-IP are never read, because a proxy that sets
// X-Forwarded-For passes them on unchanged.
type TrustedProxies []netip.Prefix

// ParseTrustedProxies parses a comma-separated list of addresses and CIDR networks. The empty text
// is the empty list.
func ParseTrustedProxies(text string) (TrustedProxies, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var networks TrustedProxies
	for item := range strings.SplitSeq(text, ",") {
		network, err := parseNetwork(strings.TrimSpace(item))
		if err != nil {
			return nil, err
		}
		networks = append(networks, network)
	}
	return networks, nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not a network; write it as 10.0.0.0/8, fd00::/8 or 10.1.2.3", text)
	}
	const mappedBits = 96 // of the prefix ::ffff:0:0/96 of IPv4-mapped addresses
	if network.Addr().Is4In6() && network.Bits() >= mappedBits {
		network = netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-mappedBits)
	}
	switch {
	case network.Bits() == 0:
		return netip.Prefix{}, fmt.Errorf("%q contains every address", text)
	case network != network.Masked():
		return netip.Prefix{}, fmt.Errorf("%q has bits beyond its prefix length; write it as %s", text, network.Masked())
	}
	return network, nil
}

// Contains reports whether the address is that of a trusted proxy.
func (p TrustedProxies) Contains(address netip.Addr) bool {
	address = plainAddress(address)
	return slices.ContainsFunc(p, func(network netip.Prefix) bool { return network.Contains(address) })
}

// plainAddress returns the address without a zone, and an IPv4-mapped address as IPv4.
func plainAddress(address netip.Addr) netip.Addr { return address.Unmap().WithZone("") }

// clientOf returns the client of a request that peer sent with these X-Forwarded-For fields, in
// their order.
func (p TrustedProxies) clientOf(peer netip.Addr, forwarded [][]byte) netip.Addr {
	client := plainAddress(peer)
	if !p.Contains(client) {
		return client
	}
	for _, field := range slices.Backward(forwarded) {
		for more := true; more; {
			var hop []byte
			if comma := bytes.LastIndexByte(field, ','); comma >= 0 {
				field, hop = field[:comma], field[comma+1:]
			} else {
				hop, more = field, false
			}
			address, ok := parseHop(string(bytes.TrimSpace(hop)))
			if !ok {
				return client // the client may have written everything to the left of it
			}
			if client = address; !p.Contains(client) {
				return client
			}
		}
	}
	return client
}

// parseHop parses one address of X-Forwarded-For; some proxies add the port.
func parseHop(text string) (netip.Addr, bool) {
	if address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")); err == nil {
		return plainAddress(address), true
	}
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return plainAddress(withPort.Addr()), true
	}
	return netip.Addr{}, false
}

// clientAddress returns the address of a request's client, as far as it can be known. Rate limits,
// the throttling of log-ins and the list of sessions use it.
func (a *API) clientAddress(c *fiber.Ctx) string {
	peer, ok := netip.AddrFromSlice(c.Context().RemoteIP())
	if !ok {
		return c.IP()
	}
	if len(a.proxies) == 0 {
		return plainAddress(peer).String()
	}
	return a.proxies.clientOf(peer, c.Request().Header.PeekAll(fiber.HeaderXForwardedFor)).String()
}
