import eslint from '@eslint/js';
import tseslint from 'typescript-eslint';

/** What each package may import at run time: the arrows of the architecture. */
const arrows = {
  core: [],
  scheduler: ['core'],
  m2n: ['core'],
  'kernels-cpu': ['core'],
  engine: ['core', 'scheduler'],
  server: ['core', 'engine'],
  planner: ['core', 'scheduler'],
  bench: ['core', 'engine', 'm2n', 'planner', 'scheduler'],
  cli: ['bench', 'core', 'engine', 'kernels-cpu', 'm2n', 'planner', 'scheduler', 'server'],
};

const deepImport = {
  regex: '^@megascale/(?!(core|m2n|server)/testing$)[^/]+/.+',
  message: 'Import the package, not a file inside it.',
};
const foreignFile = {
  regex: `(^|/)\\.\\./(${Object.keys(arrows).join('|')})/(src|test|dist)/`,
  message: 'Leave a package by its name, not by a relative path.',
};
const contractSuites = {
  regex: '^@megascale/core/testing$',
  message: 'Contract suites belong in tests.',
};

const arrowRules = Object.entries(arrows).map(([name, allowed]) => ({
  name: `arrows of ${name}`,
  files: [`packages/${name}/src/**/*.ts`],
  ignores: ['**/*.test.ts', '**/testing/**'],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: [
          deepImport,
          foreignFile,
          contractSuites,
          {
            regex: `^@megascale/(?!(${allowed.join('|')})(/|$))`,
            message: `${name} may import only: ${allowed.join(', ') || 'no other package'}.`,
          },
        ],
      },
    ],
  },
}));

const hiddenWorld = [
  { object: 'Date', property: 'now', message: 'Take a Clock.' },
  { object: 'performance', property: 'now', message: 'Take a Clock.' },
  { object: 'process', property: 'hrtime', message: 'Take a Clock.' },
  { object: 'Math', property: 'random', message: 'Take a generator of @megascale/core.' },
  {
    object: 'process',
    property: 'env',
    message: 'Take a configuration; config.ts reads the environment.',
  },
];

const nodeGlobals = Object.fromEntries(
  Object.getOwnPropertyNames(globalThis).map((name) => [name, 'readonly']),
);

const tests = ['**/*.test.ts', 'packages/*/test/**', 'packages/*/src/testing/**'];

export default tseslint.config(
  {
    ignores: [
      '**/dist/**',
      '**/build/**',
      '**/coverage/**',
      'docs/api/**',
      'tools/**',
      'models/**',
      'scripts/package-consumer/**',
    ],
  },
  eslint.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { project: ['./tsconfig.json'], tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      // Interfaces say which methods are asynchronous; an implementation may have nothing to wait for.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      'no-restricted-properties': ['error', ...hiddenWorld],
      'max-lines': ['error', 400],
      'max-lines-per-function': ['error', 70],
    },
  },
  {
    files: ['packages/*/src/**/*.ts'],
    ignores: ['packages/cli/src/**'],
    rules: { 'no-console': 'error' },
  },
  ...arrowRules,
  {
    files: tests,
    rules: {
      'no-restricted-imports': ['error', { patterns: [deepImport, foreignFile] }],
      'no-restricted-properties': 'off',
      'max-lines-per-function': 'off',
    },
  },
  {
    files: [
      'packages/core/src/clock.ts',
      'packages/core/src/random.ts',
      'packages/cli/src/environment.ts',
      'packages/cli/src/output/colors.ts',
      'packages/cli/src/output/watch-launcher.ts',
      '*.config.ts',
    ],
    rules: { 'no-restricted-properties': 'off' },
  },
  {
    files: ['**/*.{js,mjs}'],
    languageOptions: { globals: nodeGlobals },
  },
);
