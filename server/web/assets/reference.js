// The forms of /docs under kizod dev. They send requests to the server that the page comes from.
// The access token is only in this variable: it ends with the page.
let token = "";

const tokenField = document.getElementById("token");
tokenField.addEventListener("input", () => { token = tokenField.value.trim(); });

// target returns the URL of a form's request: its path with the values of the fields in it.
function target(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  for (const field of form.querySelectorAll("[data-in]")) {
    if (field.dataset.in === "path") path = path.replace("{" + field.name + "}", encodeURIComponent(field.value));
    if (field.dataset.in === "query" && field.value !== "") query.set(field.name, field.value);
  }
  return query.size > 0 ? path + "?" + query : path;
}

function requestOf(form) {
  const headers = {};
  if (token !== "") headers.Authorization = "Bearer " + token;
  const body = form.querySelector("textarea");
  if (body) headers["Content-Type"] = "application/json";
  const key = form.querySelector("[data-in=key]");
  if (key) headers["Idempotency-Key"] = key.value;
  return { method: form.dataset.method, headers, body: body ? body.value : undefined, credentials: "omit", redirect: "error" };
}

// shown returns the text of an answer: JSON is indented. A log-in's token is kept for the next
// requests.
function shown(text) {
  try {
    const value = JSON.parse(text);
    if (typeof value.access_token === "string") token = tokenField.value = value.access_token;
    return JSON.stringify(value, null, 2);
  } catch {
    return text;
  }
}

// maxShown bounds what a page shows of an answer, in characters. Streams have no end.
const maxShown = 20000;

async function answerText(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const endless = response.headers.get("Content-Type")?.startsWith("text/event-stream");
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return shown(text);
    text += value;
    if (text.length > maxShown || (endless && text.includes("event: live"))) {
      await reader.cancel();
      return text.slice(0, maxShown) + "\n…";
    }
  }
}

for (const form of document.querySelectorAll("form[data-path]")) {
  const key = form.querySelector("[data-in=key]");
  if (key) key.value = crypto.randomUUID();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const output = form.querySelector("output");
    output.textContent = "…";
    try {
      const response = await fetch(target(form), requestOf(form));
      output.textContent = response.status + " " + response.statusText + "\n" + await answerText(response);
    } catch (error) {
      output.textContent = "no answer: " + error.message;
    }
  });
}
