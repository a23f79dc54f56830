import { svgNumber as n, svgText as text } from '@megascale/planner';
import type { AblationResult } from './ablation-report.js';

const bar = { left: 290, width: 420, height: 18, gap: 8 } as const;
const top = 64;

/**
 * One bar per deployment, as long as its tokens per second over the baseline's; an SVG document.
 */
export function ablationChart({ rows, gains }: AblationResult): string {
  const most = Math.max(1, ...rows.map(({ ratio }) => ratio.max)) * 1.05;
  const x = (ratio: number): number => bar.left + (ratio / most) * bar.width;
  const height = top + rows.length * (bar.height + bar.gap) + 70;
  const bars = rows.map(({ name, question, ratio }, index) => {
    const y = top + index * (bar.height + bar.gap);
    const middle = y + bar.height / 2;
    return [
      text(bar.left - 10, middle + 4, name, 'text-anchor="end"'),
      `<rect x="${n(bar.left)}" y="${n(y)}" width="${n(x(ratio.median) - bar.left)}" height="${n(bar.height)}" fill="${colours[question]}"/>`,
      `<line x1="${n(x(ratio.min))}" x2="${n(x(ratio.max))}" y1="${n(middle)}" y2="${n(middle)}" stroke="#222"/>`,
      text(x(ratio.max) + 8, middle + 4, ratio.median.toFixed(2)),
    ].join('');
  });
  const { expertBatch, overlap, kvCapacity, total } = gains;
  const factors = `${total.toFixed(2)} = expert batch less transfers ${expertBatch.toFixed(2)} × overlap ${overlap.toFixed(2)} × KV capacity ${kvCapacity.toFixed(2)}`;
  const bottom = top + rows.length * (bar.height + bar.gap);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${n(bar.left + bar.width + 90)} ${n(height)}" font-family="sans-serif" font-size="12">`,
    '<rect width="100%" height="100%" fill="white"/>',
    text(20, 28, 'Tokens per second over the baseline’s', 'font-size="15" font-weight="bold"'),
    text(20, 48, 'median of rounds in turns; thin line: least and most', 'fill="#555"'),
    `<line x1="${n(x(1))}" x2="${n(x(1))}" y1="${n(top - 6)}" y2="${n(bottom)}" stroke="#999" stroke-dasharray="4 3"/>`,
    ...bars,
    text(20, bottom + 34, factors, 'font-weight="bold"'),
    '</svg>\n',
  ].join('\n');
}

const colours: Readonly<Record<AblationResult['rows'][number]['question'], string>> = {
  baseline: '#8d99ae',
  cut: '#30638e',
  'micro-batches': '#00798c',
  steps: '#edae49',
  transport: '#6a4c93',
  placement: '#2e933c',
  'kv-capacity': '#d1495b',
};
