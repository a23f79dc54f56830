import { createHash } from 'node:crypto';
import type { ModelInfo, Topology } from '@megascale/engine';
import { pageScript } from './page-script.js';

const style = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; }
.pools { display: flex; gap: 1rem; align-items: center; flex-wrap: wrap; margin: 1rem 0; }
.pool { border: 1px solid #8888; border-radius: .5rem; padding: .5rem .75rem; }
.worker { display: inline-block; border: 1px solid #8888; border-radius: .25rem; padding: 0 .4rem; margin: .1rem; }
textarea, pre { width: 100%; box-sizing: border-box; font: inherit; }
pre { white-space: pre-wrap; border: 1px solid #8888; border-radius: .25rem; min-height: 6rem; padding: .5rem; }
small, .state { opacity: .75; }
`;

export interface Page {
  readonly html: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Renders the start page: it shows what runs here, and takes a prompt. It loads no other file. */
export function renderPage(info: ModelInfo): Page {
  const html = `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>MegaScale: ${escape(info.name)}</title><style>${style}</style></head>
<body>
<h1>MegaScale</h1>
<p>Serves the Mixture-of-Experts model <b>${escape(info.name)}</b> (${escape(info.family)}, context of
${info.maxModelLen} tokens) with OpenAI's API at <code>/v1</code>.</p>
${renderTopology(info.topology)}
<p class="state">Backend ${escape(info.backend)}, ${escape(info.isa)} · <span id="state">…</span></p>
<form id="form">
<textarea id="prompt" rows="3" placeholder="lighthouse (noun):" aria-label="Prompt"></textarea>
<p><label><input type="checkbox" id="chat"${info.hasChatTemplate ? ' checked' : ' disabled'}> chat template</label>
<label>output tokens <input type="number" id="tokens" value="128" min="1"></label>
<label>temperature <input type="number" id="temperature" value="0" min="0" max="2" step="0.1"></label>
<button id="send">Send</button> <button type="button" id="stop" disabled>Stop</button></p>
</form>
<pre id="answer" aria-live="polite"></pre>
<small id="timing"></small>
<p><small><a href="/health">health</a> · <a href="/metrics">metrics</a> · <a href="/v1/models">models</a></small></p>
<script>${pageScript}</script>
</body></html>
`;
  const policy = `default-src 'none'; style-src ${hash(style)}; script-src ${hash(pageScript)}; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
  return {
    html,
    headers: { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': policy },
  };
}

function renderTopology(topology: Topology): string {
  const attention = pool('attention worker', 'A', topology.attentionWorkers);
  const batches = `m = ${topology.microBatches}`;
  if (topology.type === 'colocated') {
    return `<div class="pools">${attention}<span>both halves together, ${batches}</span></div>`;
  }
  const arrow = `<span>⇄ M2N over ${escape(topology.transport)}, ${batches}</span>`;
  return `<div class="pools">${attention}${arrow}${pool('expert worker', 'E', topology.expertWorkers)}</div>`;
}

function pool(title: string, letter: string, count: number): string {
  const workers = Array.from(
    { length: count },
    (_, rank) => `<span class="worker">${letter}${rank}</span>`,
  );
  return `<div class="pool">${count} ${title}${count === 1 ? '' : 's'}<br>${workers.join('')}</div>`;
}

function hash(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
