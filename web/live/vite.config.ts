import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  plugins: [svelte()],
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    target: "es2022",
    // No inlined assets and no preload helper: the Content-Security-Policy allows files of our own, nothing else.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
