package api

import (
	"sync"

	"github.com/gofiber/fiber/v2"

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/web"
)

// pages registers the routes that are not operations of the contract: the pages for browsers, the
// contract itself, and the keys of access tokens.
func (a *API) pages(config Config) {
	a.app.Get("/", func(c *fiber.Ctx) error {
		page, err := web.Landing(config.Version)
		if err != nil {
			return err
		}
		c.Set("Kizo-Version", config.Version) // for kizo doctor
		return showPage(c, page, web.LandingSecurity)
	})
	// Rendering the contract takes some ten milliseconds, once.
	reference := sync.OnceValues(func() (string, error) {
		return web.Reference(config.Contract, config.Version, config.TryOut)
	})
	a.app.Get("/docs", func(c *fiber.Ctx) error {
		page, err := reference()
		if err != nil {
			return err
		}
		return showPage(c, page, web.ReferenceSecurity)
	})
	a.app.Get("/assets/:name", func(c *fiber.Ctx) error {
		content, mediaType, found := web.Asset(c.Params("name"))
		if !found {
			return reject(openapi.RouteNotFound, "", "there is no such file")
		}
		c.Set(fiber.HeaderContentType, mediaType)
		return c.Send(content)
	})
	a.app.Get("/openapi.yaml", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, "application/yaml")
		return c.Send(config.Contract)
	})
	a.app.Get("/.well-known/jwks.json", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, "application/jwk-set+json")
		return c.Send(a.auth.JWKS())
	})
}

func showPage(c *fiber.Ctx, page, security string) error {
	c.Set(fiber.HeaderContentSecurityPolicy, security)
	return c.Type("html", "utf-8").SendString(page)
}
