import { svgNumber as n, svgText as text } from '@megascale/planner';
import type { PointFigures } from './m2n-point.js';
import { sizeText, type M2nResult } from './m2n-report.js';

const width = 900;
const height = 420;
const plot = { left: 70, top: 60, width: 330, height: 280 } as const;
const secondLeft = 500;
const colours = [
  '#d1495b',
  '#00798c',
  '#edae49',
  '#30638e',
  '#6a4c93',
  '#8d99ae',
  '#2e933c',
  '#111111',
];

interface Line {
  readonly name: string;
  /** [points] undefined where there is no figure. */
  readonly values: readonly (number | undefined)[];
}

/** Latency and throughput over the size, both axes logarithmic, as an SVG document. */
export function m2nChart({ transport, points }: M2nResult): string {
  const sizes = points.map(({ bytes }) => bytes);
  const names = [...new Set(points.flatMap(({ baselines }) => Object.keys(baselines)))];
  const linesOf = (value: (figures: PointFigures) => number | undefined): Line[] => [
    {
      name: transport,
      values: points.map(({ ours }) => value(ours)),
    },
    ...names.map((name) => ({
      name,
      values: points.map(({ baselines }) => {
        const baseline = baselines[name];
        return baseline !== undefined && 'latencyUs' in baseline ? value(baseline) : undefined;
      }),
    })),
  ];
  const latency = linesOf(({ latencyUs }) => latencyUs.p50);
  const rate = linesOf((figures) => figures.gigabytesPerSecond);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${n(width)} ${n(height)}" font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="white"/>`,
    panel({ left: plot.left, title: 'End to end, one way, median (µs)', sizes, lines: latency }),
    panel({ left: secondLeft, title: 'Throughput, one direction (GB/s)', sizes, lines: rate }),
    ...latency.map(({ name }, index) => legend(name, index)),
    '</svg>\n',
  ].join('\n');
}

interface Panel {
  readonly left: number;
  readonly title: string;
  readonly sizes: readonly number[];
  readonly lines: readonly Line[];
}

function panel({ left, title, sizes, lines }: Panel): string {
  const all = lines.flatMap(({ values }) => values.flatMap((value) => value ?? []));
  const low = 10 ** Math.floor(Math.log10(Math.min(...all, 1)));
  const high = 10 ** Math.ceil(Math.log10(Math.max(...all, 1.01)));
  const first = Math.min(...sizes);
  const last = Math.max(...sizes);
  const x = (bytes: number): number =>
    left + (Math.log(bytes / first) / Math.log(last / first)) * plot.width;
  const y = (value: number): number =>
    plot.top + (1 - Math.log(value / low) / Math.log(high / low)) * plot.height;
  const decades = Array.from(
    { length: Math.round(Math.log10(high / low)) + 1 },
    (_, power) => low * 10 ** power,
  );
  return [
    text(left, plot.top - 16, title, 'font-size="14" font-weight="bold"'),
    ...decades.map(
      (value) =>
        `<line x1="${n(left)}" x2="${n(left + plot.width)}" y1="${n(y(value))}" y2="${n(y(value))}" stroke="#ddd"/>` +
        text(
          left - 8,
          y(value) + 4,
          String(Number(value.toPrecision(1))),
          'text-anchor="end" fill="#555"',
        ),
    ),
    ...sizes.map((bytes) =>
      text(
        x(bytes),
        plot.top + plot.height + 18,
        sizeText(bytes),
        'text-anchor="middle" fill="#555" font-size="11"',
      ),
    ),
    ...lines.map(({ values }, index) =>
      lineOf(values, index, (point, value) => [x(sizes[point] ?? first), y(value)]),
    ),
  ].join('\n');
}

function lineOf(
  values: readonly (number | undefined)[],
  index: number,
  place: (point: number, value: number) => readonly [number, number],
): string {
  const places = values.flatMap((value, point) =>
    value === undefined ? [] : [place(point, value)],
  );
  const path = places.map(([x, y]) => `${n(x)},${n(y)}`).join(' ');
  const colour = colourOf(index);
  return [
    `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="${index === 0 ? '3' : '1.6'}"/>`,
    ...places.map(
      ([x, y]) =>
        `<circle cx="${n(x)}" cy="${n(y)}" r="${index === 0 ? '4' : '3'}" fill="${colour}"/>`,
    ),
  ].join('');
}

function legend(name: string, index: number): string {
  const x = plot.left + index * ((width - plot.left) / colours.length);
  const y = height - 22;
  return (
    `<rect x="${n(x)}" y="${n(y - 9)}" width="12" height="12" fill="${colourOf(index)}"/>` +
    text(x + 16, y + 2, name, 'font-size="11"')
  );
}

function colourOf(index: number): string {
  return colours[index % colours.length] ?? '#000';
}
