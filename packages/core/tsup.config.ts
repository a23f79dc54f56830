import { existsSync } from 'node:fs';
import { defineConfig } from 'tsup';
import { packageBuild } from '../../tsup.base.js';

const entry = ['src/index.ts', 'src/testing/index.ts'].filter((path) => existsSync(path));

export default defineConfig({ ...packageBuild, entry, dts: { entry } });
