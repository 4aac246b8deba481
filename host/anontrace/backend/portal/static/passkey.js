// Passkeys: the one thing in the portal that a browser does by script alone. A code does instead.
"use strict";

for (const form of document.querySelectorAll("form[data-passkey]")) {
  const button = form.querySelector("[data-ask]");
  if (!window.PublicKeyCredential || !PublicKeyCredential.parseCreationOptionsFromJSON) {
    button.disabled = true;
    continue;
  }
  button.addEventListener("click", async () => {
    const options = JSON.parse(form.dataset.options);
    button.disabled = true;
    try {
      const made =
        form.dataset.passkey === "create"
          ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
          : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
      form.elements.passkey.value = JSON.stringify(made);
      form.submit();
    } catch {
      button.disabled = false; // not allowed, or taken back: there is the code
    }
  });
}
