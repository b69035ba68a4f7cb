/** `fragments: "tree"` builds elements one by one, never from HTML text: Trusted Types then need no exception. */
export default { compilerOptions: { runes: true, fragments: "tree" } };
