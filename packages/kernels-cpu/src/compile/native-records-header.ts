import {
  kvCacheFields,
  opCodes,
  opFields,
  rotaryTableFields,
  valueFields,
  valueKinds,
  type FieldType,
  type RecordField,
  type RecordFields,
} from './native-records.js';

const cppTypes: Readonly<Record<FieldType, string>> = {
  OpCode: 'OpCode',
  ValueKind: 'ValueKind',
  int: 'int',
  size: 'std::size_t',
  float: 'float',
  double: 'double',
  bool: 'bool',
};

/**
 * The C++ header with the enumerations and records of `native-records.ts`, each record with a
 * function that reads it from doubles: native/program/records.hpp. A test holds the file equal to
 * this text; `npx vitest run native-records-header -u` writes it anew.
 */
export function nativeRecordsHeader(): string {
  return [
    '#pragma once\n',
    '// clang-format off',
    '// Written by src/compile/native-records-header.ts from src/compile/native-records.ts, where',
    '// every record is explained. Do not edit.\n',
    '#include <cstddef>',
    '#include <cstdint>\n',
    'namespace megascale {\n',
    enumOf('OpCode', opCodes),
    enumOf('ValueKind', valueKinds),
    structOf('Op', opFields),
    structOf('Value', valueFields),
    structOf('RotaryTable', rotaryTableFields),
    structOf('KvCacheSizes', kvCacheFields),
    '}  // namespace megascale\n// clang-format on\n',
  ].join('\n');
}

function enumOf(name: string, numbers: Readonly<Record<string, number>>): string {
  const lines = Object.entries(numbers).map(([key, number]) => `  k${upper(key)} = ${number},\n`);
  return `enum class ${name} : std::uint8_t {\n${lines.join('')}};\n`;
}

function structOf(name: string, fields: RecordFields): string {
  const entries = Object.entries(fields);
  const reads = entries.map(
    ([field, { type }], at) => `.${snake(field)} = ${readOf(type, `fields[${at}]`)}`,
  );
  return [
    `struct ${name} {`,
    ...entries.map(([field, spec]) => memberOf(field, spec)),
    '',
    '  // Numbers of one record.',
    `  static constexpr std::size_t kFields = ${entries.length};`,
    `  static ${name} Decode(const double* fields) {`,
    `    return {${reads.join(',\n            ')}};`,
    '  }',
    '};\n',
  ].join('\n');
}

function memberOf(field: string, { type, initial, note }: RecordField): string {
  const text = type === 'bool' ? String(initial === 1) : String(initial);
  const initializer = initial === undefined ? '' : ` = ${text}`;
  return `  ${cppTypes[type]} ${snake(field)}${initializer};  // ${note}`;
}

function readOf(type: FieldType, value: string): string {
  if (type === 'double') return value;
  if (type === 'bool') return `${value} != 0`;
  const isEnum = type === 'OpCode' || type === 'ValueKind';
  return `static_cast<${cppTypes[type]}>(${isEnum ? `static_cast<int>(${value})` : value})`;
}

/** topK → TopK */
function upper(name: string): string {
  return `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
}

/** topK → top_k */
function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
