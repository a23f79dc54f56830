/**
 * The script of the start page. It sends the prompt, shows the stream as it comes, and measures the
 * times that the client sees.
 */
export const pageScript = `
const element = (id) => document.getElementById(id);
let abort;

async function showState() {
  try {
    const health = await (await fetch('/health')).json();
    const stats = health.stats;
    element('state').textContent = health.status + (stats
      ? ', ' + stats.requestsRunning + ' running, ' + stats.requestsWaiting + ' waiting, KV pages '
        + (stats.kvPagesTotal - stats.kvPagesFree) + ' of ' + stats.kvPagesTotal
      : '');
  } catch { element('state').textContent = 'not reachable'; }
}

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split('\\n');
    rest = lines.pop();
    for (const line of lines) if (line.startsWith('data: ')) yield line.slice(6);
  }
}

async function send() {
  const chat = element('chat').checked;
  const prompt = element('prompt').value;
  const body = {
    ...(chat ? { messages: [{ role: 'user', content: prompt }] } : { prompt }),
    max_tokens: Number(element('tokens').value),
    temperature: Number(element('temperature').value),
    stream: true,
    stream_options: { include_usage: true },
  };
  const started = performance.now();
  let first, usage;
  const response = await fetch(chat ? '/v1/chat/completions' : '/v1/completions', {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body), signal: abort.signal,
  });
  if (!response.ok) throw new Error((await response.json()).error.message);
  for await (const data of events(response)) {
    if (data === '[DONE]') break;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Error(chunk.error.message);
    usage = chunk.usage ?? usage;
    const choice = chunk.choices[0];
    const text = choice && (chat ? choice.delta.content : choice.text);
    if (!text) continue;
    first ??= performance.now();
    element('answer').textContent += text;
  }
  const ended = performance.now();
  if (first === undefined || !usage) return;
  const tokens = usage.completion_tokens;
  element('timing').textContent = tokens + ' tokens, TTFT ' + Math.round(first - started) + ' ms'
    + (tokens > 1 ? ', TPOT ' + ((ended - first) / (tokens - 1)).toFixed(1) + ' ms' : '');
}

element('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  abort = new AbortController();
  element('send').disabled = true;
  element('stop').disabled = false;
  element('answer').textContent = element('timing').textContent = '';
  try { await send(); }
  catch (error) { if (error.name !== 'AbortError') element('timing').textContent = error.message; }
  element('send').disabled = false;
  element('stop').disabled = true;
  showState();
});
element('stop').addEventListener('click', () => abort.abort());
showState();
setInterval(showState, 2000);
`;
