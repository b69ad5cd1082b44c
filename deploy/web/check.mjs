// Opens the pages of a kizod dev in Chromium: node check.mjs SERVER PICTURES. It fails for an error
// on the console, a request to another host, a cookie, an accessibility violation that axe-core
// finds, and text that is wider than a narrow screen. Then it makes a first payment with the forms
// of /docs, and writes pictures of the pages.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import puppeteer from "puppeteer-core";

const [server, pictures] = process.argv.slice(2);
const axe = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const wide = { width: 1280, height: 900 }, narrow = { width: 360, height: 740 };
const faults = [];

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM, args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
});

// open opens a page in a color scheme and notes its faults.
async function open(route, viewport, scheme) {
  const page = await browser.newPage();
  const name = `${route} ${viewport.width} ${scheme}`;
  const fault = (text) => faults.push(`${name}: ${text}`);
  page.on("pageerror", (error) => fault(error.message));
  page.on("console", (message) => { if (["error", "warn"].includes(message.type())) fault(message.text()); });
  page.on("request", (request) => { if (!request.url().startsWith(server + "/")) fault(`asks ${request.url().slice(0, 80)}`); });
  await page.setViewport(viewport);
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  const response = await page.goto(server + route, { waitUntil: "networkidle0" });
  if (response.status() !== 200) fault(`status ${response.status()}`);
  if ((await browser.cookies()).length > 0) fault("sets a cookie");
  return { page, name, fault };
}

async function check(route, viewport, scheme) {
  const { page, name, fault } = await open(route, viewport, scheme);
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  if (width > viewport.width) fault(`${width} pixels wide`);
  if (pictures && [wide, narrow].indexOf(viewport) === (scheme === "light" ? 1 : 0)) {
    const file = `web${route.replace("/", "-").replace(/-$/, "")}-${viewport === wide ? scheme : `narrow-${scheme}`}.webp`;
    await page.screenshot({ path: path.join(pictures, file), type: "webp", quality: 80, fullPage: route === "/" });
  }
  // The forms and commands are folded; axe-core examines what is shown.
  await page.evaluate(() => { for (const details of document.querySelectorAll("details")) details.open = true; });
  await page.evaluate(axe); // through the debugger, which the policy of the page does not concern
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run());
  for (const v of violations) fault(`axe: ${v.id} (${v.impact}) ${v.nodes.length} times, first ${v.nodes[0].html.slice(0, 120)}`);
  console.log(`${name}: ${passes.length} rules of axe-core hold, ${violations.length} do not`);
  await page.close();
}

// send fills in the form of an operation, sends it, and returns the answer.
async function send(page, operation, body, fields = {}) {
  const form = await page.$(`article[aria-labelledby=${operation}] form`);
  await form.evaluate((f, json, values) => {
    f.closest("details").open = true;
    f.querySelector("textarea") && (f.querySelector("textarea").value = json);
    for (const [name, value] of Object.entries(values)) f.elements[name].value = value;
    f.querySelector("output").textContent = "";
    f.querySelector("button").click();
  }, JSON.stringify(body), fields);
  await page.waitForFunction((f) => f.querySelector("output").textContent.length > 1, { timeout: 60000 }, form);
  return form.evaluate((f) => f.querySelector("output").textContent);
}

async function firstPayment() {
  const { page, fault } = await open("/docs", wide, "light");
  const want = (answer, ...parts) => {
    const missing = parts.filter((part) => !answer.includes(part));
    if (missing.length > 0) fault(`an answer has no ${missing.join(", ")}: ${answer.slice(0, 400)}`);
  };
  const user = (name) => ({ email: `${name}@example.com`, handle: name, name, password: "correct horse battery" });
  want(await send(page, "listWallets"), "401 ", "unauthenticated");
  want(await send(page, "signUp", user("bob")), "201 ");
  want(await send(page, "signUp", user("ada")), "201 ", "access_token");
  want(await send(page, "createDeposit", { amount: 10000, currency: "USD" }), "202 ");
  await page.waitForFunction(async () => { // the bank answers within a second
    const token = document.getElementById("token").value;
    const answer = await fetch("/v1/wallets", { headers: { Authorization: `Bearer ${token}` } });
    return (await answer.json()).items[0].available === 10000;
  }, { timeout: 60000, polling: 200 });
  want(await send(page, "createTransfer", { to: "@bob", amount: 1250, currency: "USD", memo: "<b>lunch</b>" }), "201 ", `"posted"`, "<b>lunch</b>");
  want(await send(page, "listWallets"), "200 ", `"available": 8750`);
  want(await send(page, "streamEvents", undefined, { since: "2026-01-01T00:00:00Z" }), "200 ", "event: live");
  const kept = await page.evaluate(() => localStorage.length + sessionStorage.length);
  if (kept > 0) fault("the page stores something in the browser");
  await page.close();
}

for (const route of ["/", "/docs"]) {
  for (const viewport of [wide, narrow]) {
    for (const scheme of ["light", "dark"]) await check(route, viewport, scheme);
  }
}
await firstPayment().catch((error) => faults.push(`the first payment: ${error.message}`));
await browser.close();
for (const fault of faults.filter((f) => !f.includes("status of 401"))) console.error(fault);
process.exitCode = faults.some((f) => !f.includes("status of 401")) ? 1 : 0;
