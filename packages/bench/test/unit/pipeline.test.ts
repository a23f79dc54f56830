import { describe, expect, it } from 'vitest';
import type { PipelinePoint, PipelineResult } from '../../src/pipeline/pipeline-result.js';
import { pipelineChart } from '../../src/pipeline/pipeline-chart.js';
import { pipelineText } from '../../src/pipeline/pipeline-report.js';

const compared = (ratio: number) => ({
  measuredUs: 30_000 * ratio,
  p99Us: 1,
  lawUs: 30_000,
  ratio,
});
const point = (transferRatio: number, microBatches: number, ratio: number): PipelinePoint => ({
  transferRatio,
  microBatches,
  hides: microBatches > 2,
  times: { attentionTimeUs: 2000, expertTimeUs: 2000, transferTimeUs: 2000 * transferRatio },
  apart: compared(1),
  joined: compared(ratio),
  ...(microBatches === 1 ? {} : { speedUp: { measured: 1.91, law: 1.95 } }),
  hidden: 0.775,
  linkHidden: 0.975,
});
const result: PipelineResult = {
  backend: 'null',
  layers: 8,
  batch: 4,
  outputTokens: 16,
  points: [0.1, 0.9].flatMap((ratio) => [1, 2, 3].map((m) => point(ratio, m, m === 3 ? 0.93 : 1))),
};

describe('a report of the pipeline', () => {
  it('says how far the furthest is from the law, and which m hides transfers', () => {
    const text = pipelineText(result);
    expect(text).toContain('The furthest from the law: 7.0 %.');
    expect(text.match(/77\.5 % +97\.5 %/g)).toHaveLength(6);
    expect(text.match(/^0\.\d+ +3\*/gm)).toHaveLength(2);
    expect(text.match(/^0\.\d+ +[12] /gm)).toHaveLength(4);
  });

  it('draws a line for every link and a dot for every point, in both panels', () => {
    const chart = pipelineChart(result);
    expect(chart.match(/<polyline/g)).toHaveLength(4);
    expect(chart.match(/<circle/g)).toHaveLength(12);
    expect(chart).toContain('T_c = 0.9 T_f');
    expect(chart).not.toContain('NaN');
  });
});
