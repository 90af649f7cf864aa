"""One function a verb, composed from the layers below; `import memprog` offers these."""
