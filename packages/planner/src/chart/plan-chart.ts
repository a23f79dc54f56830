import type { Candidate } from '../search/plan-request.js';
import { deploymentText } from '../deployment/deployment-text.js';
import { evaluateDecode } from '../evaluate/evaluate.js';
import { uniformBatch } from '../search/with-largest-batch.js';
import type { SearchContext } from '../search/search-context.js';
import { svgNumber as n, svgText as text } from './svg.js';

const plot = { left: 80, top: 60, width: 560, height: 340 } as const;
const colours = ['#30638e', '#d1495b', '#00798c', '#edae49', '#6a4c93', '#2e933c'];

interface Curve {
  readonly label: string;
  readonly points: readonly { readonly ms: number; readonly rate: number }[];
}

/**
 * The trade-off: throughput per price over time from token to token. Each line is one deployment
 * with batches from its least to the one that it was ranked with; the best are on the upper left.
 * An SVG document.
 */
export function planChart(
  candidates: readonly Candidate[],
  context: SearchContext,
  title: string,
): string {
  const curves = candidates.slice(0, colours.length).map((one) => curveOf(one, context));
  const sloMs = context.stepUsMax / 1000;
  const most = Math.max(1e-9, ...curves.flatMap(({ points }) => points.map(({ rate }) => rate)));
  const x = (ms: number): number =>
    plot.left + (Math.min(ms, sloMs * 1.1) / (sloMs * 1.1)) * plot.width;
  const y = (rate: number): number => plot.top + (1 - rate / (most * 1.05)) * plot.height;
  const bottom = plot.top + plot.height;
  const grid = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const rate = share * most;
    return (
      `<line x1="${n(plot.left)}" x2="${n(plot.left + plot.width)}" y1="${n(y(rate))}" y2="${n(y(rate))}" stroke="#ddd"/>` +
      text(plot.left - 8, y(rate) + 4, rate.toPrecision(3), 'text-anchor="end" fill="#555"')
    );
  });
  const times = [0, 0.25, 0.5, 0.75, 1].map((share) =>
    text(
      x(share * sloMs),
      bottom + 18,
      (share * sloMs).toFixed(0),
      'text-anchor="middle" fill="#555"',
    ),
  );
  const lines = curves.map(({ points }, index) => {
    const path = points.map(({ ms, rate }) => `${n(x(ms))},${n(y(rate))}`).join(' ');
    const last = points.at(-1);
    const dot =
      last === undefined
        ? ''
        : `<circle cx="${n(x(last.ms))}" cy="${n(y(last.rate))}" r="4" fill="${colourOf(index)}"/>`;
    return `<polyline points="${path}" fill="none" stroke="${colourOf(index)}" stroke-width="2"/>${dot}`;
  });
  const legend = curves.map(({ label }, index) => {
    const row = bottom + 60 + index * 20;
    return `<rect x="${n(plot.left)}" y="${n(row - 10)}" width="12" height="12" fill="${colourOf(index)}"/>${text(plot.left + 18, row, label)}`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${n(plot.left + plot.width + 120)} ${n(bottom + 80 + curves.length * 20)}" font-family="sans-serif" font-size="12">`,
    '<rect width="100%" height="100%" fill="white"/>',
    text(20, 28, title, 'font-size="15" font-weight="bold"'),
    text(20, 46, `tokens per second per ${context.objective}`, 'fill="#555"'),
    ...grid,
    ...times,
    text(
      plot.left + plot.width / 2,
      bottom + 36,
      'ms from token to token',
      'text-anchor="middle" fill="#555"',
    ),
    `<line x1="${n(x(sloMs))}" x2="${n(x(sloMs))}" y1="${n(plot.top)}" y2="${n(bottom)}" stroke="#999" stroke-dasharray="4 3"/>`,
    text(x(sloMs) - 4, plot.top + 12, 'SLO', 'text-anchor="end" fill="#555"'),
    ...lines,
    ...legend,
    '</svg>\n',
  ].join('\n');
}

const pointsPerCurve = 24;

function curveOf({ deployment, evaluation, score }: Candidate, context: SearchContext): Curve {
  const { shape, contextTokens, assumptions } = context;
  const units = evaluation.tokensPerSecond / score;
  const least = uniformBatch(deployment);
  const growth = evaluation.batch / least;
  const points = Array.from({ length: pointsPerCurve }, (_, index) => {
    const batch = least * growth ** (index / (pointsPerCurve - 1));
    const { stepUs, tokensPerSecond } = evaluateDecode(
      shape,
      deployment,
      { batch, contextTokens },
      assumptions,
    );
    return { ms: stepUs / 1000, rate: tokensPerSecond / units };
  });
  return { label: deploymentText(deployment), points };
}

function colourOf(index: number): string {
  return colours[index % colours.length] ?? '#000';
}
