import { defineConfig } from 'tsup';
import { packageBuild } from '../../tsup.base.js';

const entry = ['src/index.ts', 'src/testing/index.ts'];

export default defineConfig({ ...packageBuild, entry, dts: { entry } });
