// Shows the document that the page names in Swagger UI.
"use strict";
(() => {
  const element = document.getElementById("openapi");
  // Without a validator: no document leaves the app.
  SwaggerUIBundle({
    domNode: element,
    url: element.dataset.document,
    validatorUrl: null,
    deepLinking: true,
  });
})();
