import { svgNumber as n, svgText as text } from './svg.js';

/** One quantity over time. */
export interface ChartSeries {
  readonly title: string;
  /** [points] */
  readonly values: readonly number[];
}

export interface SeriesChart {
  readonly title: string;
  /** [points] of all series, in this unit. */
  readonly times: readonly number[];
  readonly timeUnit: string;
  readonly series: readonly ChartSeries[];
}

const plot = { left: 90, width: 730, top: 60, height: 90, gap: 46 } as const;
const colours = ['#30638e', '#00798c', '#edae49', '#d1495b', '#6a4c93', '#2e933c'];

/**
 * Quantities over time, one panel below the other, each on a scale of its own from 0. An SVG
 * document.
 */
export function seriesChart({ title, times, timeUnit, series }: SeriesChart): string {
  const height = plot.top + series.length * (plot.height + plot.gap);
  const endTime = times.at(-1) ?? 1;
  const panels = series.map((each, index) => panel(each, index, times, endTime));
  const bottom = height - plot.gap + 18;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 880 ${height}" font-family="sans-serif" font-size="12">`,
    '<rect width="100%" height="100%" fill="white"/>',
    text(20, 28, title, 'font-size="15" font-weight="bold"'),
    ...panels,
    ...[0, 0.25, 0.5, 0.75, 1].map((part) =>
      text(
        plot.left + part * plot.width,
        bottom,
        `${round(part * endTime)} ${timeUnit}`,
        'text-anchor="middle" fill="#555"',
      ),
    ),
    '</svg>\n',
  ].join('\n');
}

function panel(
  { title, values }: ChartSeries,
  index: number,
  times: readonly number[],
  endTime: number,
): string {
  const top = plot.top + index * (plot.height + plot.gap);
  const high = niceAbove(values.reduce((most, value) => Math.max(most, value), 0));
  const x = (time: number): number => plot.left + (time / endTime) * plot.width;
  const y = (value: number): number => top + (1 - value / high) * plot.height;
  const grid = [0, 0.5, 1].map(
    (part) =>
      `<line x1="${plot.left}" x2="${plot.left + plot.width}" y1="${n(y(part * high))}" y2="${n(y(part * high))}" stroke="#ddd"/>` +
      text(
        plot.left - 8,
        y(part * high) + 4,
        String(round(part * high)),
        'text-anchor="end" fill="#555"',
      ),
  );
  const path = values.map((value, at) => `${n(x(times[at] ?? 0))},${n(y(value))}`).join(' ');
  const colour = colours[index % colours.length] ?? '#000';
  return [
    text(plot.left, top - 8, title, 'font-weight="bold"'),
    ...grid,
    `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="1.6"/>`,
  ].join('\n');
}

/** 1, 2 or 5 times a power of ten, at least the value. */
function niceAbove(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5, 10].find((factor) => factor * power >= value) ?? 10) * power;
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}
