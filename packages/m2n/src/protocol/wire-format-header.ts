import * as wireFormat from './wire-format.js';

type Constant = number | Readonly<Record<string, number>>;

/**
 * The C++ header with every number of `wire-format.ts`: native/protocol/wire_format.hpp, which a
 * test holds equal to this text (`npx vitest run
 * packages/m2n/test/unit/protocol/wire-format-header.test.ts -u` writes it anew).
 */
export function wireFormatHeader(): string {
  const constants: [string, Constant][] = Object.entries(wireFormat);
  const lines = constants
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, constant]) =>
      typeof constant === 'number'
        ? `inline constexpr std::int64_t ${pascal(name)} = ${constant};\n`
        : `struct ${pascal(name).slice(1)} {\n${fieldsOf(constant)}};\n`,
    );
  return [
    '#pragma once\n',
    '// clang-format off',
    '// Written by src/protocol/wire-format-header.ts; src/protocol/wire-format.ts explains the numbers.\n// Do not edit.\n',
    '#include <cstdint>\n',
    'namespace megascale::m2n {\n',
    ...lines,
    '}  // namespace megascale::m2n\n// clang-format on\n',
  ].join('\n');
}

function fieldsOf(constant: Readonly<Record<string, number>>): string {
  return Object.entries(constant)
    .map(([field, value]) => `  static constexpr std::int32_t ${pascal(field)} = ${value};\n`)
    .join('');
}

/** ringFrames → kRingFrames */
function pascal(name: string): string {
  return `k${name.charAt(0).toUpperCase()}${name.slice(1)}`;
}
