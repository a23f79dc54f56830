import { alignColumns } from '../measure/report.js';
import type { Compared, PipelinePoint, PipelineResult } from './pipeline-result.js';

const head = [
  'T_c / T_f',
  'm',
  'T_a (µs)',
  'T_e (µs)',
  'apart (ms)',
  'law',
  '×',
  'joined (ms)',
  'law',
  '×',
  'm − 1 → m',
  'law',
  'hidden',
  'of the link',
  '',
];

export function pipelineText(result: PipelineResult): string {
  const { backend, layers, batch, points } = result;
  const worst = Math.max(
    ...points.map(({ apart, joined }) =>
      Math.max(Math.abs(apart.ratio - 1), Math.abs(joined.ratio - 1)),
    ),
  );
  return [
    `pipeline on ${backend}: ${String(layers)} layers, ${String(batch)} sequences in each micro-batch, medians of decode steps`,
    '',
    ...alignColumns([head, ...points.map(cellsOf)]),
    '',
    'apart: every step from empty pipeline to empty pipeline, law (T_a + T_e + 2 T_c) + T_f (m L − 1) where m hides T_c.',
    'joined: a step starts while the one before samples, law L · max(m T_f, T_a + T_e + 2 T_c).',
    'hidden: part of all hops that does not lengthen joined steps beyond the law; * where m fulfils the condition m T_f ≥ T_a + T_e + 2 T_c.',
    'of the link: the same beyond steps measured next to them without a link, so that what handing over costs by itself does not count.',
    `The furthest from the law: ${(100 * worst).toFixed(1)} %.`,
  ]
    .map((line) => `${line}\n`)
    .join('');
}

function cellsOf(point: PipelinePoint): string[] {
  const { transferRatio, microBatches, times, hides, apart, joined, speedUp } = point;
  const { hidden, linkHidden } = point;
  return [
    transferRatio.toFixed(2),
    `${String(microBatches)}${hides ? '*' : ' '}`,
    times.attentionTimeUs.toFixed(0),
    times.expertTimeUs.toFixed(0),
    ...timeCells(apart),
    ...timeCells(joined),
    speedUp === undefined ? '' : speedUp.measured.toFixed(2),
    speedUp === undefined ? '' : speedUp.law.toFixed(2),
    partCell(hidden),
    partCell(linkHidden),
    '',
  ];
}

function partCell(part: number | undefined): string {
  return part === undefined ? '' : `${(100 * part).toFixed(1)} %`;
}

function timeCells({ measuredUs, lawUs, ratio }: Compared): string[] {
  return [(measuredUs / 1000).toFixed(2), (lawUs / 1000).toFixed(2), ratio.toFixed(3)];
}
