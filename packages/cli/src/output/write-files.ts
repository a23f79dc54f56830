import { writeFileSync } from 'node:fs';
import { extname } from 'node:path';
import { escapeXml as escaped } from '@megascale/planner';
import type { BenchReport } from '@megascale/bench';
import { UsageError } from './usage-error.js';

/**
 * Writes a file that the user asked a command for.
 *
 * @throws UsageError when it cannot be written.
 */
export function writeTextFile(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new UsageError(`Cannot write ${file}: ${(error as Error).message}.`);
  }
}

export interface ChartPage {
  readonly title: string;
  /** The picture: an SVG document. */
  readonly svg: string;
  /** What the command prints: plain text in columns. */
  readonly text: string;
}

/**
 * Writes a picture. A file whose name ends in .html becomes a page that needs no other file, with
 * the picture and the figures it shows; any other file holds the SVG alone.
 *
 * @throws UsageError when the file cannot be written.
 */
export function writeChartFile(file: string, page: ChartPage): void {
  const isPage = ['.html', '.htm'].includes(extname(file).toLowerCase());
  writeTextFile(file, isPage ? chartPage(page) : page.svg);
}

/** Writes the chart of a benchmark's report, as `writeChartFile` does. */
export function writeBenchChart(file: string, title: string, report: BenchReport): void {
  writeChartFile(file, { title, svg: report.chart ?? '', text: report.text });
}

function chartPage({ title, svg, text }: ChartPage): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title><style>
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; }
svg { max-width: 100%; height: auto; }
pre { overflow-x: auto; font-size: 0.8rem; }
</style></head><body>
<h1>${escaped(title)}</h1>
${svg}
<pre>${escaped(text)}</pre>
</body></html>
`;
}
