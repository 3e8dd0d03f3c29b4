// An ordinary app. It knows no token: it writes placeholders where tokens belong, and asks the API directly.
// @API@ is the API's host; the example's back end fills it in, because the API runs on a port of its own here.

async function load() {
  const response = await fetch('https://@API@/generate?token=#{SECRETS.API_TOKEN}');
  if (!response.ok) throw new Error((await response.json()).hint);
  const { text } = await response.json();
  document.getElementById('text').textContent = text;
}

function listen() {
  const live = document.getElementById('live');
  const ws = new WebSocket('wss://@API@/stream?token=#{SECRETS.WS_TOKEN}');
  ws.onmessage = (event) => { live.textContent = event.data; };
  ws.onclose = (event) => { if (event.code === 1008) live.textContent = 'The session is over.'; };
}

async function rate(value) {
  const response = await fetch('https://@API@/ratings', {
    method: 'POST',
    headers: { Authorization: 'Bearer #{SECRETS.API_TOKEN}', 'Content-Type': 'application/json' },
    body: JSON.stringify({ rating: value }),
  });
  document.querySelector('output').textContent = response.ok ? 'Thank you.' : `Not saved (${response.status}).`;
}

for (const button of document.querySelectorAll('button')) button.onclick = () => rate(button.value);
load().catch((error) => { document.getElementById('text').textContent = error.message; });
listen();
