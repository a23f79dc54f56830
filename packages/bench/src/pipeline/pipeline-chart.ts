import { svgNumber as n, svgText as text } from '@megascale/planner';
import type { PipelinePoint, PipelineResult } from './pipeline-result.js';

const plot = { top: 70, width: 330, height: 270 } as const;
const lefts = [70, 490] as const;
const colours = ['#30638e', '#00798c', '#edae49', '#d1495b', '#6a4c93', '#2e933c'];

/**
 * Step time per micro-batch over m, one line per link, measured and by the law; steps apart and
 * joined. An SVG document.
 */
export function pipelineChart({ backend, layers, points }: PipelineResult): string {
  const ratios = [...new Set(points.map(({ transferRatio }) => transferRatio))];
  const panels = (['apart', 'joined'] as const).map((kind, index) =>
    panel(kind, points, ratios, lefts[index] ?? 0, layers),
  );
  return [
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 880 440" font-family="sans-serif" font-size="12">',
    '<rect width="100%" height="100%" fill="white"/>',
    text(
      20,
      26,
      `Ping-pong pipeline on ${backend}: step time over m T_f L`,
      'font-size="15" font-weight="bold"',
    ),
    ...panels,
    ...ratios.map((ratio, index) => {
      const x = 70 + index * 130;
      return `<rect x="${n(x)}" y="408" width="12" height="12" fill="${colourOf(index)}"/>${text(x + 16, 418, `T_c = ${String(ratio)} T_f`)}`;
    }),
    text(70 + ratios.length * 130, 418, 'dot: measured, line: law', 'fill="#555"'),
    '</svg>\n',
  ].join('\n');
}

function panel(
  kind: 'apart' | 'joined',
  points: readonly PipelinePoint[],
  ratios: readonly number[],
  left: number,
  layers: number,
): string {
  const floorOf = ({ times, microBatches }: PipelinePoint): number =>
    Math.max(times.attentionTimeUs, times.expertTimeUs) * microBatches * layers;
  const law = (point: PipelinePoint): number => point[kind].lawUs / floorOf(point);
  const measured = (point: PipelinePoint): number => point[kind].measuredUs / floorOf(point);
  const high = Math.ceil(Math.max(1, ...points.map(law), ...points.map(measured)) * 2) / 2;
  const most = Math.max(2, ...points.map(({ microBatches }) => microBatches));
  const x = (m: number): number => left + ((m - 1) / (most - 1)) * plot.width;
  const y = (value: number): number => plot.top + (1 - value / high) * plot.height;
  const grid = Array.from({ length: high * 2 + 1 }, (_, half) => half / 2).map(
    (value) =>
      `<line x1="${n(left)}" x2="${n(left + plot.width)}" y1="${n(y(value))}" y2="${n(y(value))}" stroke="#ddd"/>` +
      text(left - 8, y(value) + 4, String(value), 'text-anchor="end" fill="#555"'),
  );
  const counts = Array.from({ length: most }, (_, index) => index + 1).map((m) =>
    text(x(m), plot.top + plot.height + 18, `m = ${String(m)}`, 'text-anchor="middle" fill="#555"'),
  );
  const lines = ratios.map((ratio, index) => {
    const own = points.filter(({ transferRatio }) => transferRatio === ratio);
    const path = own.map((point) => `${n(x(point.microBatches))},${n(y(law(point)))}`).join(' ');
    const dots = own.map(
      (point) =>
        `<circle cx="${n(x(point.microBatches))}" cy="${n(y(measured(point)))}" r="4" fill="${colourOf(index)}"/>`,
    );
    return `<polyline points="${path}" fill="none" stroke="${colourOf(index)}" stroke-width="1.6"/>${dots.join('')}`;
  });
  const title = kind === 'apart' ? 'steps apart' : 'joined steps';
  return [
    text(left, plot.top - 14, title, 'font-weight="bold"'),
    ...grid,
    ...counts,
    ...lines,
  ].join('\n');
}

function colourOf(index: number): string {
  return colours[index % colours.length] ?? '#000';
}
