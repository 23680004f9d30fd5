import { defineConfig } from 'vite';

// GraphiQL's stylesheet carries 34 font files as data addresses, nine tenths of its size. The page names fonts that the
// reader's system has instead (src/style.css).
const withoutFonts = {
  name: 'without-fonts',
  enforce: 'pre',
  transform(code, id) {
    if (!id.endsWith('.css')) return null;
    return { code: code.replace(/@font-face\s*\{[^}]*\}/g, ''), map: null };
  },
};

// The output is committed and compared with a fresh build, so nothing in it may depend on the folder, the time or the
// machine: names come from content, there are no source maps, and every version is pinned by package-lock.json.
export default defineConfig({
  base: '/playground/',
  plugins: [withoutFonts],
  build: {
    outDir: '../dist',
    emptyOutDir: true,
    // No inlined assets: a data address in a script or style would need a wider Content-Security-Policy.
    assetsInlineLimit: 0,
    sourcemap: false,
    target: 'es2022',
    modulePreload: { polyfill: false },
    // The licences of what is bundled travel with the binary.
    license: { fileName: 'licenses.md' },
    // "use client" means something to server rendering only.
    rolldownOptions: { onLog: (level, log, handle) => log.code === 'MODULE_LEVEL_DIRECTIVE' || handle(level, log) },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 2000,
  },
});
