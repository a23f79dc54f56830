import { describe, expect, it } from 'vitest';
import { paint, showsColors } from '../../src/output/colors.js';
import { finishedCli } from '../support/cli-fixture.js';

const terminal = { isTTY: true, hasColors: (): boolean => true };
const pipe = {};

describe('colours', () => {
  it.each([
    ['a terminal', terminal, {}, true],
    ['a terminal without colours', { isTTY: true, hasColors: (): boolean => false }, {}, false],
    ['a pipe', pipe, {}, false],
    ['NO_COLOR', terminal, { NO_COLOR: '1' }, false],
    ['an empty NO_COLOR, which says nothing', terminal, { NO_COLOR: '' }, true],
    ['FORCE_COLOR in a pipe', pipe, { FORCE_COLOR: '1' }, true],
    ['FORCE_COLOR=0', terminal, { FORCE_COLOR: '0' }, false],
    ['NO_COLOR before FORCE_COLOR', pipe, { NO_COLOR: '1', FORCE_COLOR: '1' }, false],
  ] as const)('%s', (_, stream, variables, expected) => {
    expect(showsColors(stream, variables)).toBe(expected);
  });

  it('style only what a sink can show', () => {
    const sink = { write: () => true };
    expect(paint({ ...sink, hasColors: true }, 'red', 'x')).toBe('\u001B[31mx\u001B[39m');
    expect(paint(sink, 'red', 'x')).toBe('x');
  });

  it.each([true, false])('are in the help where stdout shows them: %s', async (hasColors) => {
    let text = '';
    const stdout = { hasColors, write: (more: string) => (text += more) };
    await finishedCli(['-h'], { stdout });
    expect(text.includes('\u001B[')).toBe(hasColors);
  });

  it.each([true, false])('are in the log of a terminal that shows them: %s', async (hasColors) => {
    let text = '';
    const stderr = { isTTY: true, hasColors, write: (more: string) => (text += more) };
    const loadModel = () => Promise.reject(new Error('no model'));
    await finishedCli(['generate', 'm', '--prompt', 'x'], { stderr, loadModel });
    expect(text).toContain('error ');
    // The bar moves the cursor; colours are codes that end in m.
    expect(text.replaceAll('\u001B', 'ESC')).toMatch(hasColors ? /ESC\[\d+m/ : /^(?!.*ESC\[\d+m)/s);
  });
});
